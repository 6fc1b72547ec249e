"""What a network says of one image: on its way from the device, and as it is returned."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from refinenet_core.prediction.averaging import Fused
from refinenet_core.prediction.protocols import Box

OUTSIDE_REGION = 255  # label of pixels that a protocol does not look at
N = TypeVar("N", np.uint8, np.float32)


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        labels: Class ids, shape (H, W), uint8.
        confidence: Mean probability of the predicted class, shape (H, W), float32, 0 to 1; None if
            only its mean was asked for.
        mean_confidence: The mean of the confidence over all pixels.
        probabilities: Mean probability of every class at a quarter of the size, shape
            (C, ceil(H / 4), ceil(W / 4)), uint8, 255 for 1; None if it was not asked for.
        shrunk: Whether, for want of memory, it was predicted in a smaller batch or smaller tiles
            than the settings say, which may change last bits or, in tiles, some labels.
        finite: Whether every probability of every scale and flip was a finite number. If not,
            labels and confidence mean nothing: the precision does not hold the network's values,
            or its weights are not finite.
        region: Where in the image the labels lie: all of it, but with the protocol "fixed", which
            leaves `OUTSIDE_REGION` elsewhere; `probabilities` are the region's.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None
    mean_confidence: float
    region: Box
    probabilities: npt.NDArray[np.uint8] | None = None
    shrunk: bool = False
    finite: bool = True


@dataclass(frozen=True)
class AveragedImage:
    """What is known of one image's region: labels and confidence, and a `_quarter` on request.

    `total` is the sum of all probabilities, shape (): not finite if one of them is not.
    """

    fused: Fused
    probabilities: Tensor | None
    total: Tensor


@dataclass(frozen=True)
class StartedPrediction:
    """A prediction whose results may still be on their way from the device.

    Attributes:
        averaged: The results, on the host.
        arrived: When they are there; None if they are.
        size: Height and width of the image.
        region: Where the results lie in it.
        shrunk: As in `Prediction`.
    """

    averaged: AveragedImage
    arrived: torch.cuda.Event | None
    size: tuple[int, int]
    region: Box
    shrunk: bool = False

    def finished(self) -> Prediction:
        """Wait for the results."""
        fused = self.averaged.fused
        if self.arrived is not None:
            self.arrived.synchronize()
        return Prediction(
            self._placed(self._array(fused.labels), OUTSIDE_REGION),
            None if fused.confidence is None else self._placed(self._array(fused.confidence), 0.0),
            fused.mean_confidence.item(),
            self.region,
            None
            if self.averaged.probabilities is None
            else self._array(self.averaged.probabilities),
            self.shrunk,
            bool(self.averaged.total.isfinite()),
        )

    def _array(self, values: Tensor) -> npt.NDArray[Any]:
        """Return values as an array of its own: memory that a GPU writes to is scarce."""
        array = values.numpy()
        return array if self.arrived is None else array.copy()

    def _placed(self, values: npt.NDArray[N], outside: float) -> npt.NDArray[N]:
        """Return an array of the image's size with values in its region."""
        if self.region.size == self.size:
            return values
        placed = np.full(self.size, outside, values.dtype)
        placed[self.region.slices] = values
        return placed
