"""The plan: which images there are and how they are cut into shards and parts, frozen once."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import StoredObject

SHARD_PARTS = 16  # parts in a shard that the plan cuts from a folder

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("duplicate_key", pa.bool_(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("stamp", pa.string(), nullable=False),
        pa.field("target_uri", pa.string()),
        pa.field("target_size_bytes", pa.int64()),
        pa.field("target_stamp", pa.string()),
    ]
)


@dataclass(frozen=True)
class PlannedImage:
    """An image as its source listed it."""

    key: str
    image: StoredObject
    target: StoredObject | None


@dataclass(frozen=True)
class Part:
    """A bounded run of one shard's images: the unit of work and of commit."""

    dataset: str
    shard: str
    number: int
    images: int
    last: bool

    @property
    def file_name(self) -> str:
        """Name of the part's file; it follows from the data alone, so writers cannot disagree."""
        end = "-end" if self.last else ""
        return f"{shard_slug(self.dataset, self.shard)}-{self.number:06d}{end}.parquet"


@dataclass(frozen=True)
class Shard:
    """One row of work: some parts of a shard, and the plan's row group that lists its images."""

    dataset: str
    row_group: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset's images in shards and parts.

    Attributes:
        dataset: Its name.
        table: A row per image, ordered by shard and index; columns as in `PLAN_SCHEMA`.
    """

    dataset: str
    table: pa.Table

    @property
    def num_images(self) -> int:
        """Number of images planned."""
        return int(self.table.num_rows)

    def shards(self) -> list[Shard]:
        """Return every shard with all of its parts, in order."""
        counts = self.table.group_by(["shard", "part"], use_threads=False).aggregate(
            [("index", "count")]
        )
        images: dict[str, list[int]] = {}
        for shard, count in zip(
            counts["shard"].to_pylist(), counts["index_count"].to_pylist(), strict=True
        ):
            images.setdefault(shard, []).append(count)
        return [
            Shard(
                self.dataset,
                row_group,
                tuple(
                    Part(self.dataset, shard, number, count, last=number == len(counts) - 1)
                    for number, count in enumerate(counts)
                ),
            )
            for row_group, (shard, counts) in enumerate(images.items())
        ]

    def to_parquet(self) -> bytes:
        """Return the plan as a Parquet file with one row group per shard."""
        buffer = io.BytesIO()
        with pq.ParquetWriter(buffer, PLAN_SCHEMA, compression="zstd") as writer:
            for start, length in _runs(self.table["shard"].to_pylist()):
                writer.write_table(self.table.slice(start, length), row_group_size=length)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, dataset: str, data: bytes) -> "DatasetPlan":
        """Read what `to_parquet` wrote."""
        return cls(dataset, pq.read_table(pa.BufferReader(data)))


def plan_images(
    dataset: str,
    folder: str,
    images: Sequence[PlannedImage],
    *,
    part_images: int,
    part_bytes: int,
) -> DatasetPlan:
    """Cut a list of images into parts, and every `SHARD_PARTS` parts into a shard.

    Args:
        dataset: The dataset's name.
        folder: URI that the shards are named after.
        images: In the order in which they will be read.
        part_images: Images in a part at most.
        part_bytes: Encoded bytes of a part's images at most; a larger image is a part alone.
    """
    keys = Counter(image.key for image in images)
    rows = []
    for part, members in enumerate(_cut(images, part_images, part_bytes)):
        shard, number = divmod(part, SHARD_PARTS)
        if number == 0:
            index = 0
        for member in members:
            target = member.target
            rows.append(
                {
                    "shard": f"{folder}#{shard:06d}",
                    "part": number,
                    "index": index,
                    "key": member.key,
                    "duplicate_key": keys[member.key] > 1,
                    "uri": member.image.uri,
                    "size_bytes": member.image.size_bytes,
                    "stamp": member.image.stamp,
                    "target_uri": target and target.uri,
                    "target_size_bytes": target and target.size_bytes,
                    "target_stamp": target and target.stamp,
                }
            )
            index += 1
    return DatasetPlan(dataset, pa.Table.from_pylist(rows, schema=PLAN_SCHEMA))


def shard_slug(dataset: str, shard: str) -> str:
    """Return what a shard's part files start with: a readable slug and a hash that is unique."""
    slug = re.sub(r"[^A-Za-z0-9._-]", "-", shard.rpartition("/")[2])[:60]
    digest = hashlib.sha256(f"{dataset}\n{shard}".encode()).hexdigest()[:16]
    return f"{slug}-{digest}"


def _cut(
    images: Sequence[PlannedImage], part_images: int, part_bytes: int
) -> Iterator[list[PlannedImage]]:
    part: list[PlannedImage] = []
    size_bytes = 0
    for image in images:
        full = len(part) == part_images or size_bytes + image.image.size_bytes > part_bytes
        if part and full:
            yield part
            part, size_bytes = [], 0
        part.append(image)
        size_bytes += image.image.size_bytes
    if part:
        yield part


def _runs(values: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield start and length of each run of equal values."""
    start = 0
    for position in range(1, len(values) + 1):
        if position == len(values) or values[position] != values[start]:
            yield start, position - start
            start = position
