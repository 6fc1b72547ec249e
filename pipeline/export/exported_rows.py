"""The export of one dataset: its parts go through threads, and what becomes of rows is counted.

What is held at a time is, for each thread, an image and the masks of a part as they are stored.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Self, TypeVar

from pipeline.datasets.plan import PlannedShard
from pipeline.errors import OutputError
from pipeline.export.file_names import FileNames, Hashes, hash_names
from pipeline.output.mask_table import MaskRow
from pipeline.output.output_folder import Output
from pipeline.output.part_file import Labels, PartFile
from pipeline.output.resume import Committed
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.fingerprint import Fingerprint
from pipeline.storage.uris import join, shown

T = TypeVar("T")
S = TypeVar("S")

EXTENSION: Final = ".png"
"""Of the files that masks become."""

_THREADS: Final = 8
_EXAMPLES: Final = 5


@dataclass
class ExportedDataset:
    """What became of a dataset's rows.

    Attributes:
        name: The dataset's name.
        masks: Masks that were exported.
        without_mask: Rows that have none, by status.
        without_image: Masks left out of overlays, for their image is gone or another one.
        renamed: Files that are called otherwise than their key, which no file can have.
        repeated: Files with a suffix, for several would have the same name.
        examples: Some of both: the key and the file's name.
        missing_parts: Parts that are not committed, as far as is known.
    """

    name: str
    masks: int = 0
    without_mask: dict[str, int] = field(default_factory=dict)
    without_image: int = 0
    renamed: int = 0
    repeated: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    missing_parts: int = 0

    def __iadd__(self, other: Self) -> Self:
        """Add what became of further rows."""
        self.masks += other.masks
        for status, rows in other.without_mask.items():
            self.count_without_mask(status, rows)
        self.without_image += other.without_image
        self.renamed += other.renamed
        self.repeated += other.repeated
        self.examples = [*self.examples, *other.examples][:_EXAMPLES]
        return self

    def count_without_mask(self, status: str, rows: int = 1) -> None:
        """Count rows that have no mask."""
        self.without_mask[status] = self.without_mask.get(status, 0) + rows

    def note_name(self, key: str, name: str, *, suffixed: bool) -> None:
        """Count a file that is called otherwise than its key."""
        self.repeated += suffixed
        self.renamed += not suffixed and name != key + EXTENSION
        if name != key + EXTENSION and len(self.examples) < _EXAMPLES:
            self.examples.append((key, name))


@dataclass(frozen=True)
class ExportProgress:
    """How far a dataset's export is."""

    dataset: str
    parts: int
    of_parts: int
    masks: int


@dataclass(frozen=True)
class StoredMask:
    """A row with a mask.

    Attributes:
        part: The file that it stands in.
        row: The row.
        png: The mask as it is stored.
        image_id: The row's number in the dataset, if its unit knows.
    """

    part: PartFile
    row: MaskRow
    png: bytes
    image_id: int

    def labels(self) -> Labels:
        """Return its label map, shape (H, W).

        Raises:
            OutputError: It is damaged.
        """
        return self.part.labels(self.row)


@dataclass(frozen=True)
class Unit:
    """A unit of work: one part file of a shard, or all that a shard has.

    Attributes:
        shard: The shard.
        parts: The files.
        first_image: Number of the first row, counted over the dataset from 1.
    """

    shard: PlannedShard
    parts: list[PartFile]
    first_image: int = 1

    def masks(self, exported: ExportedDataset) -> Iterator[StoredMask]:
        """Yield the rows that have a mask; count those and the others."""
        number = self.first_image
        for part in self.parts:
            for row in part.rows():
                if row.mask is None:
                    exported.count_without_mask(row.status)
                else:
                    exported.masks += 1
                    yield StoredMask(part, row, row.mask, number)
                number += 1


class DatasetExport:
    """The export of one dataset.

    Attributes:
        exported: What became of its rows so far.
    """

    def __init__(
        self,
        output: Output,
        dataset: DatasetSpec,
        target: str,
        observer: Callable[[ExportProgress], None],
        fingerprint: Fingerprint,
    ) -> None:
        self._fingerprint = fingerprint
        self.dataset = dataset
        self.labels = dataset.label_set()
        self.storage = output.storage
        self.target = target
        self.committed = _committed(output, dataset.name)
        missing = len(self.committed.missing_files())
        self.exported = ExportedDataset(dataset.name, missing_parts=missing)
        self._masks_uri = output.masks_uri(dataset.name)
        self._observer = observer
        self._done = 0

    def shards(self) -> list[Unit]:
        """Return a unit for each shard that has parts."""
        units = [
            Unit(shard, [self._file(name) for name in self.committed.of(shard).valid])
            for shard in self.committed.plan.shards
        ]
        return [unit for unit in units if unit.parts]

    def parts(self) -> list[Unit]:
        """Return a unit for each part."""
        return [Unit(unit.shard, [part]) for unit in self.shards() for part in unit.parts]

    def counted_parts(self) -> list[Unit]:
        """Return a unit for each part, which knows its images' numbers."""
        units = self.parts()
        counts = [rows for rows, _ in _in_threads(_count, units)]
        firsts = accumulate(counts, initial=1)
        return [
            Unit(unit.shard, unit.parts, first) for unit, first in zip(units, firsts, strict=False)
        ]

    def file_names(self) -> FileNames:
        """Return names for the files of the masks: every key is read for that."""
        hashes = (hashes for _, hashes in _in_threads(_count, self.parts()))
        return FileNames.of(EXTENSION, hashes)

    def each(self, work: Callable[[Unit, ExportedDataset], T], units: list[Unit]) -> Iterator[T]:
        """Do something with units in threads; yield what it returns, in their order."""
        of_parts = sum(len(unit.parts) for unit in units)

        def counted(unit: Unit) -> tuple[Unit, ExportedDataset, T]:
            exported = ExportedDataset(self.dataset.name)
            return unit, exported, work(unit, exported)

        for unit, exported, result in _in_threads(counted, units):
            self.exported += exported
            self._done += len(unit.parts)
            yield result
            masks = self.exported.masks
            self._observer(ExportProgress(self.dataset.name, self._done, of_parts, masks))

    def _file(self, name: str) -> PartFile:
        return PartFile(join(self._masks_uri, name), self.storage, self._fingerprint)


def _committed(output: Output, dataset: str) -> Committed:
    plan = output.read_plan(dataset)
    if plan is None:
        raise OutputError(
            shown(output.plan_uri(dataset)), "was there and is gone; run the job again"
        )
    return output.committed(plan)


def _count(unit: Unit) -> tuple[int, Hashes]:
    [part] = unit.parts
    return hash_names(part, EXTENSION)


def _in_threads(work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield what each item becomes, in order; few are on their way at a time."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == 2 * _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
