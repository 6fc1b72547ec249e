"""Paired rows: the images that two runs of the same data have both scored."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.output.output_folder import Output
from pipeline.output.part_file import PartFile, fingerprint_of
from pipeline.scores.best_and_worst import RowPlace
from pipeline.scores.dataset_counts import SUMMARY_COLUMNS, DatasetCounts
from pipeline.spec.fingerprint import Fingerprint
from pipeline.storage.storage import Storage
from pipeline.storage.uris import join
from refinenet_core.metrics.scores import Floats

Identities = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

_READERS: Final = 8
_COLUMNS: Final = (*SUMMARY_COLUMNS, "key")


@dataclass(frozen=True)
class ScoredRows:
    """The scored rows of a dataset in an output.

    Attributes:
        folder: URI of its part files.
        names: Names of the part files.
        foreign: Names of part files that are of another job, and left out.
        files: The file of each row, a position in `names`, shape (N,).
        indices: The index of each image in its shard, shape (N,).
        identities: What each image is known by in another output, shape (N,): a hash of its bytes,
            its key, and how many such there are before it.
        mious: Each image's own mIoU, shape (N,).
    """

    folder: str
    names: Sequence[str]
    foreign: Sequence[str]
    files: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    identities: Identities
    mious: Floats

    @classmethod
    def read(
        cls,
        output: Output,
        dataset: str,
        names: Sequence[str],
        num_classes: int,
        fingerprint: Fingerprint,
    ) -> "ScoredRows":
        """Read the rows of part files; those with another fingerprint have none.

        Raises:
            OutputError: One is damaged.
            StorageError: One cannot be read.
        """
        folder = output.masks_uri(dataset)

        def read(name: str) -> tuple[Sequence[int], Sequence[int], Floats] | None:
            table = _scored(output.storage, join(folder, name), fingerprint)
            if table is None:
                return None
            identities = [
                _identity(*values)
                for values in zip(
                    table["image_sha256"].to_pylist(), table["key"].to_pylist(), strict=True
                )
            ]
            mious = DatasetCounts(num_classes).add(table)
            return table["index"].to_pylist(), identities, mious

        with ThreadPoolExecutor(_READERS) as pool:
            found = list(zip(names, pool.map(read, names), strict=True))
        names = [name for name, part in found if part is not None]
        parts = [part for _, part in found if part is not None]
        identities = np.array([each for _, ids, _ in parts for each in ids], np.uint64)
        return cls(
            folder,
            names,
            [name for name, part in found if part is None],
            np.repeat(np.arange(len(names)), [len(indices) for indices, _, _ in parts]),
            np.array([each for indices, _, _ in parts for each in indices], np.int64),
            _numbered(identities),
            np.concatenate([np.empty(0), *(mious for _, _, mious in parts)]),
        )

    def place(self, row: int) -> RowPlace:
        """Return where a row stands."""
        return RowPlace(self.names[int(self.files[row])], int(self.indices[row]))

    def count(self, rows: Rows, storage: Storage, num_classes: int) -> DatasetCounts:
        """Add up some of the rows.

        Raises:
            OutputError: A part file is damaged.
            StorageError: A part file cannot be read.
        """

        def count(position: int) -> DatasetCounts:
            table = _scored(storage, join(self.folder, self.names[position]))
            assert table is not None  # noqa: S101 - no fingerprint was asked for
            wanted = pa.array(self.indices[rows[self.files[rows] == position]])
            counts = DatasetCounts(num_classes)
            counts.add(table.filter(pc.is_in(table["index"], value_set=wanted)))
            return counts

        total = DatasetCounts(num_classes)
        with ThreadPoolExecutor(_READERS) as pool:
            for counts in pool.map(count, range(len(self.names))):
                total += counts
        return total


def pair_rows(first: ScoredRows, second: ScoredRows) -> tuple[Rows, Rows]:
    """Return the rows of the images that both have, in the same order."""
    _, in_first, in_second = np.intersect1d(
        first.identities, second.identities, assume_unique=True, return_indices=True
    )
    order = np.argsort(in_first)
    return in_first[order], in_second[order]


def _scored(storage: Storage, uri: str, fingerprint: Fingerprint | None = None) -> pa.Table | None:
    """Return the scored rows of a part file; None if it has another fingerprint than this one."""
    with PartFile(uri, storage).opened() as content:
        if fingerprint is not None and fingerprint_of(content) != fingerprint:
            return None
        table = content.read(list(_COLUMNS), use_threads=False)
    return table.filter(pc.is_valid(table["confusion"]))


def _identity(digest: str | None, key: str) -> int:
    name = hashlib.blake2b(f"{digest}\n{key}".encode(errors="surrogatepass"), digest_size=8)
    return int.from_bytes(name.digest())


def _numbered(identities: Identities) -> Identities:
    """Return identities of which each is another: repeats are numbered in their order."""
    order = np.argsort(identities, kind="stable")
    sorted_ids = identities[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_ids[1:] != sorted_ids[:-1]]))
    lengths = np.diff([*starts, len(sorted_ids)])
    numbers = np.empty(len(sorted_ids), np.uint64)
    numbers[order] = np.arange(len(sorted_ids)) - np.repeat(starts, lengths)
    odd = np.uint64(0x9E3779B97F4A7C15)  # spreads the numbers over all 64 bits
    return identities + numbers * odd
