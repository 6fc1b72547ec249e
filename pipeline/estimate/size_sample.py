"""A sample of a dataset's images: their sizes by their headers, and some of them as they are."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa

from pipeline.datasets.encoded_image import MAX_ENCODED_BYTES, EncodedImage
from pipeline.datasets.parquet_table import read_rows
from pipeline.datasets.plan import DatasetPlan, ShardFile
from pipeline.datasets.webdataset import read_samples
from pipeline.errors import DecodeError, ShardBrokenError, StorageError
from pipeline.images.decoding import open_image
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec, DecodeSpec, MembersSpec
from pipeline.storage.storage import Storage

SAMPLED_IMAGES: Final = 256  # of a list of single objects
SAMPLED_SHARDS: Final = 16
SHARD_IMAGES: Final = 16  # looked at in each of these
_HEAD_BYTES: Final = 8 << 20  # read of a tar
_HEADER_BYTES: Final = 64 << 10  # read of an image; all of it where that does not tell
_THREADS: Final = 32
_GONE: Final = (FileNotFoundError, PermissionError)


@dataclass(frozen=True)
class SampledImage:
    """An image that was looked at.

    Attributes:
        height: By its header; 0 for one that will not be segmented.
        width: Likewise.
        encoded: The image and its target, where they were kept.
    """

    height: int
    width: int
    encoded: EncodedImage | None = None


@dataclass(frozen=True)
class Draw:
    """What was drawn at random: one image of a list, or the beginning of a shard.

    Attributes:
        images: Those that were looked at.
        seen: How many images there were to look at.
        read_bytes: Of the shard, in which these were; 0 for an image of a list.
    """

    images: Sequence[SampledImage]
    seen: int
    read_bytes: int


@dataclass(frozen=True)
class SizeSample:
    """A sample of a dataset's images.

    Attributes:
        draws: What was drawn, in the order of drawing.
        of: How many draws there are.
        whole: Whether all was looked at in each draw.
        images: Images in the dataset; None if only reading the shards tells.
        size_bytes: Of the images, or of the shards that hold them.
    """

    draws: Sequence[Draw]
    of: int
    whole: bool
    images: int | None
    size_bytes: int

    @property
    def sampled(self) -> list[SampledImage]:
        """All images that were looked at."""
        return [image for draw in self.draws for image in draw.images]


def sample_sizes(
    dataset: DatasetSpec, plan: DatasetPlan, storage: Storage, *, keep: int = 0
) -> SizeSample:
    """Look at some of a dataset's images, always the same ones of the same plan.

    Of a list, single images are drawn, and their first bytes read; of tars and tables, shards, of
    which the first megabytes or rows are read.

    Args:
        dataset: The dataset.
        plan: Its plan, the whole table.
        storage: Access to it.
        keep: How many images to keep as they are, with their targets.

    Raises:
        StorageError: The storage cannot be read; single objects that are gone are no error.
    """
    lists_images = "part" in plan.table.schema.names
    most = SAMPLED_IMAGES if lists_images else SAMPLED_SHARDS
    rows = _drawn(dataset.name, plan.table, most)
    with ThreadPoolExecutor(_THREADS) as pool:
        if lists_images:
            look = partial(_look_at_image, decode=dataset.decode, storage=storage, keep=keep)
            draws = list(pool.map(look, enumerate(rows)))
            whole = True
        else:
            shards = [ShardFile(**row) for row in rows]
            found = list(pool.map(partial(_look_at_shard, dataset, storage), shards))
            draws = [draw for draw, _ in found]
            whole = all(complete for _, complete in found)
            draws = _keeping(draws, keep)
    return SizeSample(draws, plan.table.num_rows, whole, plan.num_images, plan.size_bytes)


def _drawn(dataset: str, table: pa.Table, most: int) -> list[dict[str, Any]]:
    """Return rows drawn without replacement; which ones follows from the name and their number."""
    seed = int.from_bytes(hashlib.sha256(dataset.encode()).digest()[:8], "big")
    count = min(most, table.num_rows)
    places = np.random.default_rng(seed).choice(table.num_rows, count, replace=False)
    rows: list[dict[str, Any]] = table.take(pa.array(places)).to_pylist()
    return rows


def _look_at_image(
    place_and_row: tuple[int, dict[str, Any]], decode: DecodeSpec, storage: Storage, keep: int
) -> Draw:
    place, row = place_and_row
    if row["stamp"] is None or row["size_bytes"] > MAX_ENCODED_BYTES:
        return Draw([SampledImage(0, 0)], 1, 0)
    try:
        with storage.open(row["uri"], block_bytes=_HEADER_BYTES) as stream:
            image = _measured(stream, decode)
        if place < keep and image.height:
            image = replace(image, encoded=_read(row, storage))
    except StorageError as error:
        if not isinstance(error.__cause__, _GONE):
            raise
        image = SampledImage(0, 0)
    return Draw([image], 1, 0)


def _measured(stream: IO[bytes], decode: DecodeSpec) -> SampledImage:
    """Return an image's size from its first bytes, or from all where these do not tell."""
    head = stream.read(_HEADER_BYTES)
    try:
        return _size(head, decode)
    except DecodeError:
        rest = stream.read()
    try:
        return _size(head + rest, decode)
    except DecodeError:
        return SampledImage(0, 0)


def _size(data: bytes, decode: DecodeSpec) -> SampledImage:
    with closing(open_image(data, decode.max_pixels)) as image:
        return SampledImage(image.height, image.width)


def _read(row: dict[str, Any], storage: Storage) -> EncodedImage:
    target_uri = row["target_uri"] if row["target_stamp"] is not None else None
    return EncodedImage(
        index=row["index"],
        key=row["key"],
        flags=[],
        uri=row["uri"],
        target_uri=target_uri,
        status="ok",
        error=None,
        image=storage.read(row["uri"]),
        target=storage.read(target_uri) if target_uri else None,
    )


def _look_at_shard(dataset: DatasetSpec, storage: Storage, shard: ShardFile) -> tuple[Draw, bool]:
    """Look at the beginning of a shard; say as well whether that was all of it."""
    try:
        with storage.open(shard.uri, block_bytes=_HEAD_BYTES) as stream:
            if dataset.format == "webdataset":
                found, read_bytes = _head_of_tar(stream, shard, dataset)
                seen = len(found)
            else:
                columns = dataset.columns or ColumnsSpec()
                rows = read_rows(stream, shard, columns, storage.read, dataset.targets)
                found = list(islice(_until_broken(rows), SHARD_IMAGES))
                seen, read_bytes = shard.images or len(found), shard.size_bytes
    except StorageError as error:
        if not isinstance(error.__cause__, _GONE):
            raise
        return Draw([], 0, 0), True
    images = [_sampled(image, dataset.decode) for image in found[:SHARD_IMAGES]]
    complete = seen == len(images) and read_bytes >= shard.size_bytes
    return Draw(images, seen, read_bytes), complete


def _head_of_tar(
    stream: IO[bytes], shard: ShardFile, dataset: DatasetSpec
) -> tuple[list[EncodedImage], int]:
    """Return the samples in a tar's first bytes, of as many as one image takes at least."""
    head = b""
    found: list[EncodedImage] = []
    while not any(image.image for image in found) and len(head) < shard.size_bytes:
        more = stream.read(max(_HEAD_BYTES, len(head)))
        if not more:
            break
        head += more
        members = dataset.members or MembersSpec()
        found = list(_until_broken(read_samples(io.BytesIO(head), shard.uri, members)))
    if found and found[-1].image is None and len(head) < shard.size_bytes:
        found.pop()  # its image stands behind what was read
    return found, len(head)


def _until_broken(images: Iterator[EncodedImage]) -> Iterator[EncodedImage]:
    """Yield images up to where the shard, or what was read of it, breaks off."""
    try:
        yield from images
    except ShardBrokenError:  # the run has a row for that
        return


def _sampled(image: EncodedImage, decode: DecodeSpec) -> SampledImage:
    if image.image is None:
        return SampledImage(0, 0)
    return replace(_measured(io.BytesIO(image.image), decode), encoded=image)


def _keeping(draws: Sequence[Draw], keep: int) -> list[Draw]:
    """Return draws of which some images are kept as they are, the first of each shard first."""
    places = sorted((n, d) for d, draw in enumerate(draws) for n in range(len(draw.images)))
    usable = [(d, n) for n, d in places if draws[d].images[n].height][:keep]
    return [
        replace(
            draw,
            images=[
                image if (d, n) in usable else replace(image, encoded=None)
                for n, image in enumerate(draw.images)
            ],
        )
        for d, draw in enumerate(draws)
    ]
