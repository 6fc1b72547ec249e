"""The summary: a pure fold over the committed part files, per dataset."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refinenet_core import LabelSet, Scores, scores

SUMMARY_COLUMNS = (  # columns of the mask table that the fold needs: never the masks
    "status",
    "flags",
    "height",
    "width",
    "class_pixels",
    "confidence",
    "confusion",
    "ignored_pixels",
)

SUMMARY_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("class", pa.int32()),
        ("class_name", pa.string()),
        ("iou", pa.float64()),
        ("accuracy", pa.float64()),
        ("target_pixels", pa.int64()),
        ("predicted_pixels", pa.int64()),
    ]
)


@dataclass
class DatasetCounts:
    """What is added up over a dataset's rows; the order of adding changes nothing."""

    num_classes: int
    images: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    scored_images: int = 0
    ignored_pixels: int = 0
    confidences: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.class_pixels: npt.NDArray[np.int64] = np.zeros(self.num_classes, dtype=np.int64)
        self.confusion: npt.NDArray[np.int64] = np.zeros(
            (self.num_classes, self.num_classes + 1), dtype=np.int64
        )

    def add(self, table: pa.Table) -> None:
        """Add the rows of a part; `table` has `SUMMARY_COLUMNS` at least."""
        self.images += table.num_rows
        self.statuses.update(table["status"].to_pylist())
        self.flags.update(pa.compute.list_flatten(table["flags"]).to_pylist())
        self.scored_images += table.num_rows - table["confusion"].null_count
        self.ignored_pixels += pa.compute.sum(table["ignored_pixels"]).as_py() or 0
        self.confidences += table["confidence"].drop_null().to_pylist()
        cells = _flat(table["class_pixels"])
        np.add.at(self.class_pixels, cells["class"], cells["pixels"])
        cells = _flat(table["confusion"])
        # Prediction -1, outside the classes, is the last column.
        np.add.at(self.confusion, (cells["target"], cells["prediction"]), cells["pixels"])

    @property
    def mean_confidence(self) -> float:
        """Mean over images; exact, so that the order of parts changes no bit."""
        return math.fsum(self.confidences) / len(self.confidences) if self.confidences else math.nan


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset's result: counts, scores where there are targets, class shares.

    Attributes:
        name: The dataset's name.
        labels: Its classes.
        planned: Images in the plan; where only reading the shards tells, None until all are read.
        complete: Whether every planned part is committed.
        counts: What its rows add up to.
        scores: Scores under the rule "union_present"; None if no image has a target.
    """

    name: str
    labels: LabelSet
    planned: int | None
    complete: bool
    counts: DatasetCounts
    scores: Scores | None

    @property
    def ok(self) -> int:
        """Images without a fault."""
        return self.counts.statuses["ok"]

    @property
    def failed(self) -> int:
        """Images committed with any status but `ok`."""
        return self.counts.images - self.ok

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a row per class, fields as in `SUMMARY_SCHEMA`; undefined scores are None."""
        targets = self.counts.confusion.sum(axis=1)
        return [
            {
                "dataset": self.name,
                "class": index,
                "class_name": name,
                "iou": _defined(self.scores.iou[index]) if self.scores else None,
                "accuracy": _defined(self.scores.class_accuracy[index]) if self.scores else None,
                "target_pixels": int(targets[index]) if self.scores else None,
                "predicted_pixels": int(self.counts.class_pixels[index]),
            }
            for index, name in enumerate(self.labels.classes)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the dataset's entry in `summary.json`."""
        found = self.scores
        return {
            "name": self.name,
            "complete": self.complete,
            "images": {
                "planned": self.planned,
                "committed": self.counts.images,
                "ok": self.ok,
                "failed": self.failed,
                "scored": self.counts.scored_images,
            },
            "statuses": dict(sorted(self.counts.statuses.items())),
            "flags": dict(sorted(self.counts.flags.items())),
            "rule": found.rule if found else None,
            "miou": _defined(found.miou) if found else None,
            "pixel_accuracy": _defined(found.pixel_accuracy) if found else None,
            "mean_accuracy": _defined(found.mean_accuracy) if found else None,
            "frequency_weighted_iou": _defined(found.frequency_weighted_iou) if found else None,
            "mean_confidence": _defined(self.counts.mean_confidence),
            "ignore_index": self.labels.ignore_index,
            "ignored_pixels": self.counts.ignored_pixels,
            "classes": [
                {name: value for name, value in row.items() if name != "dataset"}
                for row in self.class_rows()
            ],
            "confusion": self.counts.confusion.tolist() if found else None,
        }


def summarize_dataset(
    name: str,
    labels: LabelSet,
    tables: Iterable[pa.Table],
    *,
    planned: int | None,
    complete: bool,
) -> DatasetSummary:
    """Fold a dataset's part tables, in any order, into its summary.

    Args:
        name: The dataset's name.
        labels: Its classes.
        tables: The committed parts, with `SUMMARY_COLUMNS` at least.
        planned: Images in its plan, if that tells.
        complete: Whether every planned part is among the tables.
    """
    counts = DatasetCounts(len(labels.classes))
    for table in tables:
        counts.add(table)
    if planned is None and complete:
        planned = counts.images - counts.statuses["truncated"]
    found = scores(counts.confusion) if counts.scored_images else None
    return DatasetSummary(name, labels, planned, complete, counts, found)


def _flat(column: pa.ChunkedArray) -> Mapping[str, npt.NDArray[np.int64]]:
    """Return the fields of a list<struct> column's items as arrays."""
    items = pa.compute.list_flatten(column).combine_chunks()
    return {
        item.name: items.field(position).to_numpy(zero_copy_only=False)
        for position, item in enumerate(items.type)
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
