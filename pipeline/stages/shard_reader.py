"""Shards that are files of many images: read from front to back, cut into parts on the way."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import pyarrow.parquet as pq

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.datasets.plan import ShardFile
from pipeline.datasets.shards import read_shard
from pipeline.errors import ShardBrokenError, StorageError
from pipeline.output.output_folder import Output
from pipeline.output.part_name import Ending, Part
from pipeline.output.work_item import WorkItem
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.job_spec import JobSpec
from pipeline.stages.encoded_part import EncodedPart
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown


class ShardReader:
    """Read tars and tables.

    Args:
        spec: The job.
        output: Where the parts lie that are committed.
        storage: Access to the shards.
    """

    def __init__(self, spec: JobSpec, output: Output, storage: Storage) -> None:
        self.part_images = spec.part_images
        self.part_bytes = int(spec.part_bytes)
        self.output = output
        self.storage = storage

    def read(self, dataset: DatasetSpec, item: WorkItem, shard: ShardFile) -> Iterator[EncodedPart]:
        """Yield the parts of a shard that are not committed.

        A shard that breaks off ends in a part that is `cut`, whose last row says how. If it has
        changed since then, that may have mended it: it is read under its new stamp if the images
        of the parts that are committed are in it unchanged; if they are not, its row says so, and
        the next run looks again. Any other change is a row `changed`.
        """
        try:
            current = self._current(item, shard)
        except _UnfitError as error:
            yield self._cut(item, error.status, error.reason)
            return
        parts = self._parts(dataset, item, current)
        if current != shard:
            parts = self._mended(item, parts)
        # `filter` and `map` keep no part while it is on its way: each is tens of megabytes.
        parts = map(partial(_with_replaces, item), parts)
        yield from filter(partial(self._lacks, item), parts)

    def _mended(self, item: WorkItem, parts: Iterable[EncodedPart]) -> Iterator[EncodedPart]:
        """Flag the parts of a shard that was mended, as long as it is the same shard."""
        for part in parts:
            if part.part.number in item.done and not self._same(part):
                yield self._cut(item, "truncated", _not_mended(part.part))
                return
            yield _flagged(part, "shard_mended")

    def _lacks(self, item: WorkItem, part: EncodedPart) -> bool:
        """Say whether a part is to be made; one that is cut always, for it may hold more now."""
        if part.part.number in item.done:
            return False
        if part.replaces:
            return True
        return part.part.ending == "cut" or not self.storage.exists(self.output.part_uri(part.part))

    def _current(self, item: WorkItem, shard: ShardFile) -> ShardFile:
        """Return the shard's file as it is now, if that is as planned or may be mended."""
        try:
            now = self.storage.stat(shard.uri)
        except FileNotFoundError as error:
            raise _UnfitError("unreadable", "is gone since it was planned") from error
        except StorageError as error:
            if isinstance(error.__cause__, PermissionError):
                raise _UnfitError("unreadable", error.reason) from error
            raise
        current = replace(shard, size_bytes=now.size_bytes, stamp=now.stamp)
        if current != shard and not self._broke_off(item):
            raise _UnfitError("changed", _changed(shard, current))
        return current

    def _parts(
        self, dataset: DatasetSpec, item: WorkItem, shard: ShardFile
    ) -> Iterator[EncodedPart]:
        """Cut what a shard's file gives into parts; the last one is known when no more comes."""
        number, index, size_bytes = 0, 0, 0
        images: list[EncodedImage] = []
        start = time.perf_counter()
        ending: Ending = "end"
        seen: set[int] = set()
        try:
            for image in _taken(read_shard(dataset, shard, self.storage), shard.take_images):
                more_bytes = len(image.image or b"")
                full = len(images) == self.part_images or size_bytes + more_bytes > self.part_bytes
                if images and full:
                    yield _part(item, number, images, "", start)
                    number, size_bytes, start = number + 1, 0, time.perf_counter()
                images.append(image)
                index, size_bytes = image.index + 1, size_bytes + more_bytes
                _flag_duplicates(images, seen)
        except ShardBrokenError as error:
            images.append(_row_of_shard(item, index, "truncated", f"the shard {error}"))
            ending = "cut"
        yield _part(item, number, images, ending, start)

    def _cut(self, item: WorkItem, status: str, reason: str) -> EncodedPart:
        """Return the part that says of a shard that it cannot be read, or no further."""
        number = item.cut
        if number is None:
            number = next(n for n in range(len(item.done) + 1) if n not in item.done)
        first = (item.file and item.file.first_row) or 0
        index = self._next_index(item) if item.done else first
        row = _row_of_shard(item, index, status, f"{shown(item.shard)} {reason}")
        return _part(item, number, [row], "cut", time.perf_counter())

    def _next_index(self, item: WorkItem) -> int:
        """Return an index behind those of the parts that are committed."""
        last = Part(item.dataset, item.shard, max(item.done), 0, "")
        uri = self.output.part_uri(last)
        if not self.storage.exists(uri):
            uri = self.output.part_uri(replace(last, ending="end"))
        with self.storage.open(uri) as file:
            return int(pq.ParquetFile(file).read(columns=["index"])["index"][-1].as_py()) + 1

    def _broke_off(self, item: WorkItem) -> bool:
        """Say whether an earlier run found the shard to break off."""
        if item.cut is None:
            return False
        part = Part(item.dataset, item.shard, item.cut, 0, "cut")
        with self.storage.open(self.output.part_uri(part)) as file:
            statuses = pq.ParquetFile(file).read(columns=["status"])["status"]
        return bool(statuses[-1].as_py() == "truncated")

    def _same(self, part: EncodedPart) -> bool:
        """Say whether a part that is committed has the same images."""
        with self.storage.open(self.output.part_uri(part.part)) as file:
            table = pq.ParquetFile(file).read(columns=["key", "image_sha256"])
        committed = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return committed == [(image.key, _sha256(image.image)) for image in part.images]


def _part(
    item: WorkItem, number: int, images: list[EncodedImage], ending: Ending, start: float
) -> EncodedPart:
    """Return a part of these images, and clear their list, which would keep them in memory."""
    part = EncodedPart(
        Part(item.dataset, item.shard, number, len(images), ending),
        tuple(images),
        time.perf_counter() - start,
    )
    images.clear()
    return part


def _taken(images: Iterator[EncodedImage], most: int | None) -> Iterator[EncodedImage]:
    for image in images:
        yield image
        if most is not None:
            most -= 1
            if most == 0:
                return


def _flag_duplicates(images: list[EncodedImage], seen: set[int]) -> None:
    """Flag the last image if its key was there before, and the earlier one in the same part.

    Of keys only hashes are kept: for a shard of a million, some tens of megabytes.
    """
    image = images[-1]
    if hash(image.key) in seen:
        for other in images:
            if other.key == image.key and "duplicate_key" not in other.flags:
                other.flags.append("duplicate_key")
    seen.add(hash(image.key))


def _with_replaces(item: WorkItem, part: EncodedPart) -> EncodedPart:
    return replace(part, replaces=part.part.number in item.redo and part.part.ending != "cut")


def _flagged(part: EncodedPart, flag: str) -> EncodedPart:
    for image in part.images:
        image.flags.append(flag)
    return part


def _row_of_shard(item: WorkItem, index: int, status: str, error: str) -> EncodedImage:
    """Return a row that stands for the rest of a shard."""
    uri = item.file.uri if item.file else item.shard
    return EncodedImage(
        index=index,
        key="",
        flags=[],
        uri=uri,
        target_uri=None,
        status=status,
        error=error,
        image=None,
        target=None,
    )


def _changed(planned: ShardFile, now: ShardFile) -> str:
    return (
        f"has changed since it was planned: {planned.size_bytes} bytes, stamp {planned.stamp} "
        f"then; {now.size_bytes} bytes, stamp {now.stamp} now. Put the planned file back, or give "
        "another `output`"
    )


def _not_mended(part: Part) -> str:
    return (
        f"broke off and has changed since, but its images are others: those of part "
        f"{part.number}, which is committed, differ. Put a file with the same images in its "
        "place, or give another `output`"
    )


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


class _UnfitError(Exception):
    """A shard's file cannot be read, or is not the one that was planned."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason
