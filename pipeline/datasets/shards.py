"""The images of a shard that is a file of many, as they are read from front to back."""

import contextlib
from collections.abc import Iterator

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.datasets.parquet_table import read_rows
from pipeline.datasets.plan import ShardFile
from pipeline.datasets.webdataset import read_samples
from pipeline.errors import ShardBrokenError, StorageError
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec, MembersSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

_BLOCK_BYTES = 8 << 20  # asked for at a time


def read_shard(dataset: DatasetSpec, shard: ShardFile, storage: Storage) -> Iterator[EncodedImage]:
    """Yield a shard's images in order.

    Raises:
        ShardBrokenError: The shard breaks off, after the images that were read.
        StorageError: It cannot be read, or what was read is shorter than what is stored.
    """
    with storage.open(shard.uri, block_bytes=_BLOCK_BYTES) as stream:
        try:
            if dataset.format == "webdataset":
                yield from read_samples(stream, shard.uri, dataset.members or MembersSpec())
            else:
                columns = dataset.columns or ColumnsSpec()
                yield from read_rows(stream, shard, columns, storage.read, dataset.targets)
        except ShardBrokenError as error:
            if error.at_end and stream.tell() < shard.size_bytes:
                raise StorageError(
                    shown(shard.uri),
                    f"gave {stream.tell()} bytes where {shard.size_bytes} are stored",
                ) from error
            raise


def count_images(dataset: DatasetSpec, shard: ShardFile, most: int, storage: Storage) -> int:
    """Return how many images a shard has, at most `most`, by reading as far as that takes."""
    images = 0
    with contextlib.suppress(ShardBrokenError):  # what it breaks off with becomes a row of the run
        for _ in read_shard(dataset, shard, storage):
            images += 1
            if images == most:
                break
    return images
