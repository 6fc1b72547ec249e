"""What a data set's rows add up to, in any order, on any workers."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.scores.bootstrap import NUM_GROUPS, Groups, GroupSums
from refinenet_core.metrics.confusion import Counts
from refinenet_core.metrics.scores import ClassCounts, Floats, mean_iou

SUMMARY_COLUMNS = (  # columns of the mask table that the fold needs: never the masks
    "shard",
    "index",
    "status",
    "flags",
    "class_pixels",
    "confidence",
    "confusion",
    "ignored_pixels",
    "boundary",
    "image_sha256",
)


class DatasetCounts:
    """What is added up over a dataset's rows; neither order nor grouping changes a bit.

    Args:
        num_classes: Number of classes, C.

    Attributes:
        images: Rows.
        statuses: Rows by status.
        flags: Rows by flag.
        scored_images: Rows with counts against a target.
        ignored_pixels: Pixels without a label.
        class_pixels: Predicted pixels per class in all masks, shape (C,), int64.
        confusion: Counts, shape (C, C + 1), int64.
        boundary_images: Rows with counts of boundary regions.
        boundary: Pixels of the boundary regions, shape (C,).
        groups: Sums over groups of the scored images, to be resampled.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.images = 0
        self.statuses: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.scored_images = 0
        self.ignored_pixels = 0
        self.class_pixels: Counts = np.zeros(num_classes, dtype=np.int64)
        self.confusion: Counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        self.boundary_images = 0
        self.boundary = ClassCounts(*np.zeros((3, num_classes), dtype=np.int64))
        self.groups = GroupSums(num_classes)
        self._confidences: list[npt.NDArray[np.float32]] = []
        self._image_mious: list[Floats] = []

    def add(self, table: pa.Table) -> Floats:
        """Add the rows of a part; `table` has `SUMMARY_COLUMNS` at least.

        Returns:
            Each row's own mIoU by "union_present", shape (N,); NaN where there is none.
        """
        self.images += table.num_rows
        self.statuses.update(table["status"].to_pylist())
        self.flags.update(pc.list_flatten(table["flags"]).to_pylist())
        self.ignored_pixels += pc.sum(table["ignored_pixels"]).as_py() or 0
        self._confidences.append(table["confidence"].drop_null().to_numpy())
        _, (classes, pixels) = _items(table["class_pixels"])
        np.add.at(self.class_pixels, classes, pixels)
        scored = pc.is_valid(table["confusion"])
        mious = np.full(table.num_rows, math.nan)
        mious[scored.to_numpy()] = self._add_confusion(table.filter(scored))
        self._add_boundary(table["boundary"])
        return mious

    def __iadd__(self, other: Self) -> Self:
        """Merge what other rows of the same classes add up to."""
        self.images += other.images
        self.statuses.update(other.statuses)
        self.flags.update(other.flags)
        self.scored_images += other.scored_images
        self.ignored_pixels += other.ignored_pixels
        self.class_pixels += other.class_pixels
        self.confusion += other.confusion
        self.boundary_images += other.boundary_images
        self.boundary += other.boundary
        self.groups += other.groups
        self._confidences += other._confidences
        self._image_mious += other._image_mious
        return self

    @property
    def mean_confidence(self) -> float:
        """Mean over images, summed exactly; NaN without any."""
        number = sum(values.size for values in self._confidences)
        values = (value for part in self._confidences for value in part.tolist())
        return math.fsum(values) / number if number else math.nan

    @property
    def image_mious(self) -> Floats:
        """Each scored image's own mIoU by "union_present", ascending; NaN, at the end, if none."""
        return np.sort(np.concatenate([np.empty(0), *self._image_mious]))

    def _add_confusion(self, scored: pa.Table) -> Floats:
        self.scored_images += scored.num_rows
        rows, (targets, predictions, pixels) = _items(scored["confusion"])
        np.add.at(self.confusion, (targets, predictions), pixels)  # -1, outside, is the last column
        shape = (scored.num_rows, self.num_classes)
        hit, inside = targets == predictions, predictions >= 0
        images = ClassCounts(
            _sums(shape, rows[hit], targets[hit], pixels[hit]),
            _sums(shape, rows, targets, pixels),
            _sums(shape, rows[inside], predictions[inside], pixels[inside]),
        )
        mious = mean_iou(images, "union_present")
        self._image_mious.append(mious)
        self.groups.add(_groups(scored), images, mious)
        return mious

    def _add_boundary(self, column: pa.ChunkedArray) -> None:
        self.boundary_images += len(column) - column.null_count
        _, (classes, *pixels) = _items(column)
        zeros = np.zeros(classes.size, dtype=np.int64)
        sums = (_sums((1, self.num_classes), zeros, classes, each)[0] for each in pixels)
        self.boundary += ClassCounts(*sums)


def _items(column: pa.ChunkedArray) -> tuple[Counts, list[Counts]]:
    """Return a list<struct> column's items: the row of each, and their fields in order."""
    rows = pc.list_parent_indices(column)
    items = pc.list_flatten(column).combine_chunks()
    fields = (items.field(position) for position in range(items.type.num_fields))
    return _whole(rows), [_whole(field) for field in fields]


def _whole(values: pa.Array | pa.ChunkedArray) -> Counts:
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _sums(shape: tuple[int, int], rows: Counts, columns: Counts, pixels: Counts) -> Counts:
    """Add up pixels by row and column, exactly."""
    sums = np.zeros(shape[0] * shape[1], dtype=np.int64)
    np.add.at(sums, rows * shape[1] + columns, pixels)
    return sums.reshape(shape)


def _groups(table: pa.Table) -> Groups:
    """Return the group of each image: by the digest of its bytes, or of its place without one."""
    return np.array([int(digest[:8], 16) % NUM_GROUPS for digest in _digests(table)], np.int64)


def _digests(table: pa.Table) -> Iterator[str]:
    columns = (table[name].to_pylist() for name in ("image_sha256", "shard", "index"))
    for digest, shard, index in zip(*columns, strict=True):
        yield digest or hashlib.sha256(f"{shard}\n{index}".encode()).hexdigest()
