"""The plan: a dataset's shards, frozen once.

A dataset whose images are single objects (folders, manifests) is planned image by image, and cut
into shards and parts beforehand. One whose shards are files of many images (tars, Parquet tables)
is planned shard by shard; its parts follow as the shards are read.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.spec.share import Share

SHARD_PARTS: Final = 16  # parts in a shard that the plan cuts

LISTED_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64()),  # size and stamp are null if it was not there
        pa.field("stamp", pa.string()),
        pa.field("target_uri", pa.string()),
        pa.field("target_size_bytes", pa.int64()),
        pa.field("target_stamp", pa.string()),
    ]
)

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("duplicate_key", pa.bool_(), nullable=False),
        *LISTED_SCHEMA,
    ]
)

SHARDS_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("stamp", pa.string(), nullable=False),
        pa.field("first_row_group", pa.int32()),  # of a Parquet table; null for a tar
        pa.field("row_groups", pa.int32()),
        pa.field("first_row", pa.int64()),
        pa.field("images", pa.int64()),  # null if only reading tells
        pa.field("take_images", pa.int64()),  # how many to take; null for all
    ]
)


@dataclass(frozen=True)
class ShardFile:
    """A shard that is a file, or some row groups of one; fields as in `SHARDS_SCHEMA`."""

    shard: str
    uri: str
    size_bytes: int
    stamp: str
    first_row_group: int | None = None
    row_groups: int | None = None
    first_row: int | None = None
    images: int | None = None
    take_images: int | None = None


@dataclass(frozen=True)
class PlannedShard:
    """A shard as the driver sees it.

    Attributes:
        dataset: The dataset's name.
        name: The shard's name.
        row_group: Row group of the plan that lists its images, where the plan does.
        part_images: Images of each part; None if they follow from reading `file`.
        file: What to read; None if the plan lists the images.
    """

    dataset: str
    name: str
    row_group: int
    part_images: tuple[int, ...] | None = None
    file: ShardFile | None = None

    @property
    def images(self) -> int | None:
        """Images in the shard, if that is known before it is read."""
        if self.part_images is not None:
            return sum(self.part_images)
        assert self.file is not None  # noqa: S101 - one of the two is given
        if self.file.images is None or self.file.take_images is None:
            return self.file.images
        return min(self.file.images, self.file.take_images)

    @cached_property
    def slug(self) -> str:
        """What the names of its part files start with."""
        return shard_slug(self.dataset, self.name)


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset's shards.

    Attributes:
        dataset: Its name.
        table: Columns as in `PLAN_SCHEMA`, a row per image ordered by shard and index, or as in
            `SHARDS_SCHEMA`, a row per shard. Of a plan that was read back, only what `shards`
            needs.
        share: The share that is looked at; None for all shards.
    """

    dataset: str
    table: pa.Table
    share: Share | None = None

    def of_share(self, share: Share) -> "DatasetPlan":
        """Return this plan with the shards of a share alone."""
        return replace(self, share=share)

    @property
    def num_images(self) -> int | None:
        """Number of images planned, None if only reading tells."""
        images = [shard.images for shard in self.shards]
        known = [count for count in images if count is not None]
        return sum(known) if len(known) == len(images) else None

    @property
    def size_bytes(self) -> int:
        """Encoded bytes of the images, or of the files that hold them."""
        if "part" in self.table.schema.names:
            sizes = self.table["size_bytes"]
            if self.share is not None:
                names = pa.array([shard.name for shard in self.shards], pa.string())
                sizes = sizes.filter(pc.is_in(self.table["shard"], names))
            return int(pc.sum(sizes).as_py() or 0)
        files = {shard.file.uri: shard.file.size_bytes for shard in self.shards if shard.file}
        return sum(files.values())

    @cached_property
    def shards(self) -> Sequence[PlannedShard]:
        """Every shard, in order; of a share, its own."""
        shards = self._all_shards()
        return shards if self.share is None else self.share.take(shards)

    def _all_shards(self) -> Sequence[PlannedShard]:
        if "part" not in self.table.schema.names:
            return [
                PlannedShard(self.dataset, row["shard"], number, file=ShardFile(**row))
                for number, row in enumerate(self.table.to_pylist())
            ]
        return [
            PlannedShard(
                self.dataset,
                self.table["shard"][start].as_py(),
                row_group,
                part_images=tuple(
                    int(count)
                    for count in np.bincount(self.table["part"].slice(start, length).to_numpy())
                ),
            )
            for row_group, (start, length) in enumerate(self._runs())
        ]

    def to_parquet(self) -> bytes:
        """Return the plan as a Parquet file; where it lists images, one row group per shard."""
        buffer = io.BytesIO()
        with pq.ParquetWriter(
            buffer, self.table.schema, compression="zstd", write_page_checksum=True
        ) as writer:
            if "part" in self.table.schema.names:
                for start, length in self._runs():
                    writer.write_table(self.table.slice(start, length), row_group_size=length)
            else:
                writer.write_table(self.table)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, dataset: str, data: bytes) -> "DatasetPlan":
        """Read of what `to_parquet` wrote as much as `shards` needs."""
        file = pq.ParquetFile(pa.BufferReader(data))
        lists_images = "part" in file.schema_arrow.names
        columns = ["shard", "part", "size_bytes"] if lists_images else None
        return cls(dataset, file.read(columns=columns))

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield start and length of each shard's rows."""
        shards = self.table["shard"].combine_chunks().dictionary_encode()
        if isinstance(shards, pa.ChunkedArray):
            shards = shards.combine_chunks()
        indices = shards.indices.to_numpy()
        starts = np.flatnonzero(np.diff(indices, prepend=-1))
        lengths = np.diff(starts, append=len(indices))
        yield from zip(starts.tolist(), lengths.tolist(), strict=True)


def shard_slug(dataset: str, shard: str) -> str:
    """Return what a shard's part files start with: a readable slug and a hash that is unique."""
    slug = re.sub(r"[^A-Za-z0-9._-]", "-", shard.rpartition("/")[2])[:60]
    digest = hashlib.sha256(f"{dataset}\n{shard}".encode()).hexdigest()[:16]
    return f"{slug}-{digest}"
