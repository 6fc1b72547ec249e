"""The images of a shard, read again in the order of its rows, for pictures of them."""

import hashlib
import math
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.datasets.plan import PlannedShard
from pipeline.datasets.shards import read_shard
from pipeline.errors import DecodeError, ShardBrokenError, StorageError
from pipeline.images.class_ids import ClassIds
from pipeline.images.decoding import decode_image
from pipeline.images.targets import TargetReader
from pipeline.output.mask_table import MaskRow
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage

Pixels = npt.NDArray[np.uint8]

_GONE: Final = (FileNotFoundError, PermissionError)


@dataclass(frozen=True)
class SourceImage:
    """What a row was made of.

    Attributes:
        pixels: The image as it was segmented, RGB, shape (H, W, 3), uint8; None where the images
            of the dataset are themselves masks.
        target: True class ids, shape (H, W), uint8; None if there are none, or were not asked for.
    """

    pixels: Pixels | None
    target: ClassIds | None


class SourceImages:
    """The images of a shard.

    Args:
        dataset: The dataset.
        shard: The shard.
        storage: Access to it, or to its images.
        with_targets: Whether targets are read as well.
        deadline: When to give up, by `time.monotonic`.
    """

    def __init__(
        self,
        dataset: DatasetSpec,
        shard: PlannedShard,
        storage: Storage,
        *,
        with_targets: bool = False,
        deadline: float = math.inf,
    ) -> None:
        self.dataset = dataset
        self.deadline = deadline
        self.storage = storage
        self._targets = None
        if with_targets and dataset.has_targets:
            self._targets = TargetReader(dataset.label_set(), dataset.labels)
        # Targets that are files of their own are read for the rows that are asked for alone.
        alone = dataset.model_copy(update={"targets": None})
        self._samples = read_shard(alone, shard.file, storage) if shard.file else None

    def read(self, row: MaskRow) -> SourceImage | None:
        """Return what a row was made of; rows are asked for in ascending order.

        Returns:
            None if the image is gone, or another than it was.

        Raises:
            StorageError: The storage cannot be read.
            TimeoutError: The deadline has passed.
        """
        try:
            data, target = self._data(row)
        except ShardBrokenError:  # the run has a row that says so
            return None
        if data is None or hashlib.sha256(data).hexdigest() != row.image_sha256:
            return None
        if self.dataset.predictions is not None:
            return SourceImage(None, self._read_target(row, target, 1, exif_applied=False))
        try:
            image = decode_image(data, self.dataset.decode)
        except DecodeError:  # by a decoder of another version
            return None
        if image.pixels.shape[:2] != (row.height, row.width):
            return None
        applied = "exif_applied" in image.flags
        found = self._read_target(row, target, image.orientation, exif_applied=applied)
        return SourceImage(image.pixels, found)

    def _data(self, row: MaskRow) -> tuple[bytes | None, bytes | None]:
        """Return the encoded image, and the target if that stands beside it in the shard."""
        self._check_time()
        if self._samples is None:
            return self._read_object(row.uri), None
        for sample in self._samples:
            self._check_time()
            if sample.index == row.index:
                return sample.image, sample.target
        return None, None

    def _read_target(
        self, row: MaskRow, data: bytes | None, orientation: int, *, exif_applied: bool
    ) -> ClassIds | None:
        if self._targets is None or row.status != "ok":
            return None
        data = data or self._read_object(row.target_uri)
        if data is None:
            return None
        size = (row.height or 0, row.width or 0)
        try:
            return self._targets.read(data, size, orientation, exif_applied=exif_applied)
        except DecodeError:  # it was right when the row was made: it has changed
            return None

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise TimeoutError(f"{self.dataset.name}: no more time to read images")

    def _read_object(self, uri: str | None) -> bytes | None:
        """Return an object's bytes; None if it is gone, or may not be read any more."""
        try:
            return self.storage.read(uri) if uri else None
        except StorageError as error:
            if not isinstance(error.__cause__, _GONE):
                raise
            return None
