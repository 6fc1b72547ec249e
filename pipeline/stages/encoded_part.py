"""A part on its way from the reader to an actor: compressed bytes, one part a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.output.part_name import Part

ENCODED_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("shard", pa.string()),
        ("part", pa.int32()),
        ("ending", pa.string()),
        ("read_s", pa.float64()),
        ("read_at", pa.float64()),
        ("retries", pa.int64()),
        ("replaces", pa.bool_()),
        ("index", pa.list_(pa.int64())),
        ("key", pa.list_(pa.string())),
        ("flags", pa.list_(pa.list_(pa.string()))),
        ("uri", pa.list_(pa.string())),
        ("target_uri", pa.list_(pa.string())),
        ("status", pa.list_(pa.string())),
        ("error", pa.list_(pa.string())),
        ("image", pa.large_list(pa.large_binary())),
        ("target", pa.large_list(pa.large_binary())),
    ]
)


@dataclass(frozen=True)
class EncodedPart:
    """A part's images in order.

    Attributes:
        read_s: Time that reading them took.
        retries: How often an operation on a storage was tried again for that.
        replaces: Whether the part is committed already, and made again.
        read_at: When that was done, in seconds since 1970.
    """

    part: Part
    images: Sequence[EncodedImage]
    read_s: float
    retries: int = 0
    replaces: bool = False
    read_at: float = 0.0

    def to_table(self) -> pa.Table:
        """Return the part as a table of one row."""
        columns = {
            "dataset": [self.part.dataset],
            "shard": [self.part.shard],
            "part": [self.part.number],
            "ending": [self.part.ending],
            "read_s": [self.read_s],
            "read_at": [self.read_at],
            "retries": [self.retries],
            "replaces": [self.replaces],
        }
        for name in _IMAGE_FIELDS:
            kind = ENCODED_SCHEMA.field(name).type
            # Made of whole columns: from rows Arrow would grow its buffers by doubling them.
            values = pa.array([getattr(image, name) for image in self.images], kind.value_type)
            make = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
            columns[name] = make.from_arrays([0, len(values)], values)
        return pa.table(columns, schema=ENCODED_SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> "EncodedPart":
        """Read what `to_table` wrote."""
        [row] = table.to_pylist()
        columns = (row[name] for name in _IMAGE_FIELDS)
        images = [EncodedImage(*values) for values in zip(*columns, strict=True)]
        part = Part(row["dataset"], row["shard"], row["part"], len(images), row["ending"])
        known = {name: row[name] for name in ("read_s", "retries", "replaces", "read_at")}
        return cls(part, images, **known)


_IMAGE_FIELDS = tuple(EncodedImage.__dataclass_fields__)
