"""The part files of a dataset added up, by several processes where there are many."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

from pipeline.errors import OutputError
from pipeline.output.part_file import PartFile, fingerprint_of
from pipeline.scores.best_and_worst import Highlights
from pipeline.scores.dataset_counts import SUMMARY_COLUMNS, DatasetCounts
from pipeline.spec.fingerprint import Fingerprint
from pipeline.stages.child_process import ChildDiedError, ChildProcess
from pipeline.stages.hardware import usable_cores
from pipeline.storage.storage import Storage
from pipeline.storage.uris import join, protocol_of, shown

_CHILD_FILES: Final = 1000  # a process of its own, which takes a second to start, pays from here on
_READERS: Final = 8  # at a time: a store's answers take longer than adding them up


@dataclass
class Fold:
    """What part files add up to; neither order nor grouping changes it.

    Attributes:
        counts: Sums over their rows.
        highlights: Rows that stand out.
        foreign: Names of files that are another job's.
    """

    counts: DatasetCounts
    highlights: Highlights = field(default_factory=Highlights)
    foreign: list[str] = field(default_factory=list)

    def __iadd__(self, other: Self) -> Self:
        """Merge what other files add up to."""
        self.counts += other.counts
        self.highlights += other.highlights
        self.foreign += other.foreign
        return self


@dataclass(frozen=True)
class PartFiles:
    """Part files of a dataset.

    Attributes:
        folder: Where they are.
        names: Their names.
        storage: Access to them.
        fingerprint: The job's; a file with another one is foreign.
        num_classes: Number of classes of the dataset.
    """

    folder: str
    names: Sequence[str]
    storage: Storage
    fingerprint: Fingerprint
    num_classes: int

    def fold(self, processes: int | None = None) -> Fold:
        """Add them up.

        Args:
            processes: Processes that share the work; by default as many as there are cores, or one
                where there are few files.

        Raises:
            OutputError: A file is damaged.
            StorageError: One cannot be read.
        """
        if processes is None:
            processes = min(usable_cores(), max(1, len(self.names) // _CHILD_FILES))
        if processes == 1:
            return self._fold_here()
        return self._merged(processes, _fold_in_child)

    def _fold_here(self) -> Fold:
        """Add up in this process; one thread does if it need not wait for answers."""
        if protocol_of(self.folder) == "file":
            return _fold(self)
        return self._merged(_READERS, _fold)

    def _merged(self, workers: int, fold: Callable[["PartFiles"], Fold]) -> Fold:
        """Add up several shares at a time."""
        total = Fold(DatasetCounts(self.num_classes))
        shares = [replace(self, names=self.names[first::workers]) for first in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            for result in pool.map(fold, shares):
                total += result
        return total


def _fold(files: PartFiles) -> Fold:
    result = Fold(DatasetCounts(files.num_classes))
    for name in files.names:
        with PartFile(join(files.folder, name), files.storage).opened() as file:
            if fingerprint_of(file) == files.fingerprint:
                table = file.read(list(SUMMARY_COLUMNS), use_threads=False)
                result.highlights.add(name, table, result.counts.add(table))
            else:
                result.foreign.append(name)
    return result


def _fold_in_child(files: PartFiles) -> Fold:
    with closing(ChildProcess[PartFiles, Fold](_prepare_child)) as child:
        try:
            return child.call(files)
        except ChildDiedError as death:
            raise OutputError(
                shown(files.folder),
                f"could not be added up: a process that did {death.reason}. All parts are there: "
                "run the command again",
            ) from death


def _prepare_child() -> Callable[[PartFiles], Fold]:
    return partial(PartFiles.fold, processes=1)
