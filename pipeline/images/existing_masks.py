"""From a mask that exists already to class ids, as a network would have predicted them."""

from contextlib import closing
from typing import Final

import numpy as np

from pipeline.errors import DecodeError
from pipeline.images.class_ids import ClassIds, LabelsError, LabelTable
from pipeline.images.decoding import guard, open_image
from pipeline.spec.dataset_spec import DecodeSpec, PredictionsSpec
from refinenet_core.labels.label_sets import LabelSet

OUTSIDE: Final = 255
"""Label of a pixel that a mask gives no class; no class has this id, for there are at most 255."""


class PredictionReader:
    """Read masks that are to be scored.

    Args:
        labels: The classes, their colours, and how the published masks hold them.
        spec: How these masks hold them.
        decode: How large they may be.
    """

    def __init__(self, labels: LabelSet, spec: PredictionsSpec, decode: DecodeSpec) -> None:
        self._num_classes = len(labels.classes)
        self._max_pixels = decode.max_pixels
        self._table = LabelTable(labels, spec.as_labels(), "predictions")

    def read(self, data: bytes) -> ClassIds:
        """Decode a mask and translate it.

        Returns:
            Class ids, shape (H, W), uint8; `OUTSIDE` where what it holds stands for no class.

        Raises:
            DecodeError: "undecodable" bytes, an "unsupported" kind of image, or "too_large".
        """
        try:
            with closing(open_image(data, self._max_pixels)) as image:
                stored = guard(lambda: self._table.stored(image, data))
        except LabelsError as error:
            raise DecodeError("unsupported", f"the mask {error.reason}") from error
        ids = self._table.look_up(stored)  # plus 1
        ids[(ids == 0) | (ids > self._num_classes)] = OUTSIDE + 1
        return (ids - 1).astype(np.uint8)
