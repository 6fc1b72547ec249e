"""The mask table: its columns and its rows."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from refinenet_core.metrics.scores import ClassCounts

MASK_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string()),
        pa.field("target_uri", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("stored_height", pa.int32()),
        pa.field("stored_width", pa.int32()),
        pa.field("mask", pa.binary()),
        pa.field(
            "class_pixels",
            pa.list_(pa.struct([("class", pa.int32()), ("pixels", pa.int64())])),
        ),
        pa.field("confidence", pa.float32()),
        pa.field(
            "confusion",
            pa.list_(
                pa.struct(
                    [("target", pa.int32()), ("prediction", pa.int32()), ("pixels", pa.int64())]
                )
            ),
        ),
        pa.field("ignored_pixels", pa.int64()),
        pa.field(
            "boundary",
            pa.list_(
                pa.struct(
                    [
                        ("class", pa.int32()),
                        ("both", pa.int64()),
                        ("target", pa.int64()),
                        ("prediction", pa.int64()),
                    ]
                )
            ),
        ),
        pa.field("probabilities", pa.binary()),
        pa.field("image_sha256", pa.string()),
    ]
)


@dataclass
class MaskRow:
    """What became of one image: a row of the mask table, fields as its columns.

    A row starts as `ok` and holds what is known; whatever goes wrong sets `status` and `error`.
    """

    shard: str
    index: int
    key: str
    uri: str | None
    target_uri: str | None
    status: str = "ok"
    error: str | None = None
    flags: list[str] = field(default_factory=list)
    height: int | None = None
    width: int | None = None
    stored_height: int | None = None
    stored_width: int | None = None
    mask: bytes | None = None
    class_pixels: list[dict[str, int]] | None = None
    confidence: float | None = None
    confusion: list[dict[str, int]] | None = None
    ignored_pixels: int | None = None
    boundary: list[dict[str, int]] | None = None
    probabilities: bytes | None = None
    image_sha256: str | None = None

    def fail(self, status: str, error: str) -> None:
        """Record what went wrong."""
        self.status, self.error = status, error


def class_pixels(labels: npt.NDArray[np.uint8]) -> list[dict[str, int]]:
    """Return the classes in a label map with their pixels, as the column stores them."""
    counts = np.bincount(labels.ravel())
    return [{"class": int(c), "pixels": int(counts[c])} for c in np.flatnonzero(counts)]


def sparse_confusion(counts: npt.NDArray[np.int64]) -> list[dict[str, int]]:
    """Return the non-zero cells of counts (C, C + 1); prediction -1 is outside the classes."""
    num_classes = counts.shape[0]
    return [
        {
            "target": int(target),
            "prediction": int(prediction) if prediction < num_classes else -1,
            "pixels": int(counts[target, prediction]),
        }
        for target, prediction in np.argwhere(counts)
    ]


def sparse_boundary(counts: ClassCounts) -> list[dict[str, int]]:
    """Return the pixels of the boundary regions, shape (C,), of classes that have some."""
    return [
        {
            "class": int(class_id),
            "both": int(counts.hits[class_id]),
            "target": int(counts.target_pixels[class_id]),
            "prediction": int(counts.predicted_pixels[class_id]),
        }
        for class_id in np.flatnonzero(counts.union)
    ]
