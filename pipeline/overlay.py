"""Overlays: an image with its label map in colours over it."""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.dataset_spec import DatasetSpec
from pipeline.decoding import decode_image
from pipeline.errors import DecodeError, ShardBrokenError, StorageError
from pipeline.mask_table import MaskRow
from pipeline.plan import PlannedShard
from pipeline.shard_samples import read_shard
from pipeline.storage import Storage
from refinenet_core.palettes import Colour

Pixels = npt.NDArray[np.uint8]

_GONE: Final = (FileNotFoundError, PermissionError)


def blend(image: Pixels, labels: Pixels, colours: tuple[Colour, ...]) -> Pixels:
    """Return an image half in its classes' colours, shape (H, W, 3).

    Args:
        image: RGB, shape (H, W, 3), uint8.
        labels: Class ids, shape (H, W), uint8; the image stays as it is where an id is no class.
        colours: RGB of each class.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    # Halves are taken before they are added: in eight bits a sum would not fit.
    mixed = image // 2 + table[labels] // 2
    return np.where((labels < len(colours))[..., np.newaxis], mixed, image)


class ShardImages:
    """The images of a shard, read again in the order of its rows.

    Args:
        dataset: The dataset.
        shard: The shard.
        storage: Access to it, or to its images.
    """

    def __init__(self, dataset: DatasetSpec, shard: PlannedShard, storage: Storage) -> None:
        self.dataset = dataset
        self.storage = storage
        # Targets that are files of their own are not asked for.
        alone = dataset.model_copy(update={"targets": None})
        self._samples = read_shard(alone, shard.file, storage) if shard.file else None

    def read(self, row: MaskRow) -> Pixels | None:
        """Return the image of a row as it was segmented, RGB, shape (H, W, 3), uint8.

        Returns:
            None if it is gone, or another than it was.

        Raises:
            StorageError: The storage cannot be read.
        """
        data = self._data(row)
        if data is None or hashlib.sha256(data).hexdigest() != row.image_sha256:
            return None
        try:
            pixels = decode_image(data, self.dataset.decode).pixels
        except DecodeError:  # by a decoder of another version
            return None
        return pixels if pixels.shape[:2] == (row.height, row.width) else None

    def _data(self, row: MaskRow) -> bytes | None:
        try:
            if self._samples is None:
                return self.storage.read(row.uri or "")
            for sample in self._samples:
                if sample.index == row.index:
                    return sample.image
        except ShardBrokenError:  # the run has a row that says so
            return None
        except StorageError as error:
            if not isinstance(error.__cause__, _GONE):
                raise
        return None
