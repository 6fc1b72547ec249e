"""Averaging as one step: probabilities of several scales to labels, without full-size maps.

The plain way enlarges each scale's probabilities to the image's size, which for C classes takes
4 · C · H · W bytes a scale. Here they are enlarged for a few rows at a time, added, and the best
class of each pixel is taken while they are still in the cache; on a GPU a kernel does it per pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from refinenet_core.gpu.availability import kernels_run

_BAND_BYTES = 1 << 20  # of the sum of a band's probabilities, on a CPU: about its second cache
_GPU_BAND_BYTES = 1 << 28

FoundTensors = tuple[Tensor, Tensor | None, Tensor]
"""Of a batch of images: labels and confidence, shape (B, H, W), and its mean, shape (B)."""


@dataclass(frozen=True)
class Fused:
    """The best class of each pixel.

    Attributes:
        labels: Class ids, shape (H, W), uint8.
        confidence: Mean probability of that class, shape (H, W), float32; None if not asked for.
        mean_confidence: Its mean over all pixels, shape (), float64: a number would have to wait
            for the device.
    """

    labels: Tensor
    confidence: Tensor | None
    mean_confidence: Tensor


class ProbabilityMap(Protocol):
    """Probabilities of one image at one scale, given out some rows at a time.

    Attributes:
        height: Rows, at stride 4 of the scaled image.
        device: Where they are.
    """

    height: int
    device: torch.device

    def rows(self, first: int, last: int) -> Tensor:
        """Return rows `first` to `last - 1`, shape (C, last - first, w), float32.

        Who asks in order of `first` is served without anything being computed twice.
        """


class WholeMap:
    """Probabilities that are all there, shape (C, h, w), float32."""

    def __init__(self, map_CHW: Tensor) -> None:
        self.map_CHW = map_CHW
        self.height = map_CHW.shape[1]
        self.device = map_CHW.device

    def rows(self, first: int, last: int) -> Tensor:
        """Return rows `first` to `last - 1`."""
        return self.map_CHW[:, first:last]


def fuse(maps: Sequence[ProbabilityMap], size: tuple[int, int], *, keep_confidence: bool) -> Fused:
    """Average probability maps at an image's size and take the best class of each pixel.

    Each map is resized bilinearly (`align_corners=False`), all have equal weights, and the lowest
    class wins a tie.

    Args:
        maps: Probabilities of one image, at any resolutions.
        size: Height and width of the image.
        keep_confidence: Whether to return the confidence of each pixel.
    """
    whole = [each.map_CHW[None] for each in maps if isinstance(each, WholeMap)]
    if len(whole) == len(maps) and (kernel := _kernel(maps[0].device)):
        return fused_images(*kernel(whole, size, keep_confidence=keep_confidence))[0]
    return fuse_in_bands(maps, size, keep_confidence=keep_confidence)


def fuse_batch(
    maps: Sequence[Tensor], size: tuple[int, int], *, keep_confidence: bool
) -> list[Fused]:
    """Do what `fuse` does for images of equal size, from maps of shape (B, C, h, w), float32."""
    if kernel := _kernel(maps[0].device):
        return fused_images(*kernel(maps, size, keep_confidence=keep_confidence))
    return [
        fuse_in_bands(list(map(WholeMap, of_image)), size, keep_confidence=keep_confidence)
        for of_image in zip(*maps, strict=True)
    ]


def fuse_in_bands(
    maps: Sequence[ProbabilityMap], size: tuple[int, int], *, keep_confidence: bool
) -> Fused:
    """Do what `fuse` does, some rows at a time, on any device."""
    height, width = size
    device = maps[0].device
    labels_HW = torch.empty(size, dtype=torch.uint8, device=device)
    confidence_HW = torch.empty(size if keep_confidence else (0, 0), device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    rows = _band_rows(len(maps[0].rows(0, 1)), width, device)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        best, classes = average_rows(maps, size, top, bottom).max(dim=0)
        labels_HW[top:bottom] = classes
        if keep_confidence:
            confidence_HW[top:bottom] = best
        total += best.sum(dtype=torch.float64)
    mean = total / (height * width)
    return Fused(labels_HW, confidence_HW if keep_confidence else None, mean)


def fused_images(labels_BHW: Tensor, confidence_BHW: Tensor | None, means_B: Tensor) -> list[Fused]:
    """Return what the GPU's kernel has found of a batch of images, image by image."""
    confidences = [None] * len(labels_BHW) if confidence_BHW is None else confidence_BHW
    return [Fused(*each) for each in zip(labels_BHW, confidences, means_B, strict=True)]


def _kernel(device: torch.device) -> Callable[..., FoundTensors] | None:
    """Return the averaging in Triton, or None where it cannot be had."""
    if not kernels_run(device):
        return None
    kernel: Callable[..., FoundTensors] = import_module("refinenet_core.gpu.averaging").fuse_batch
    return kernel


def average_rows(
    maps: Sequence[ProbabilityMap], size: tuple[int, int], top: int, bottom: int
) -> Tensor:
    """Return the average of some maps at some rows of an image, shape (C, bottom - top, W).

    Args:
        maps: Probabilities.
        size: Height and width of the image.
        top: First row.
        bottom: The row behind the last.
    """
    total_CRW: Tensor | None = None
    for each in maps:
        weights_Rr, rows_CrW = _band(each, size, top, bottom)
        # A row of the image is a mix of two rows of the map: a product with few columns.
        weights_CRr = weights_Rr.expand(len(rows_CrW), -1, -1)
        if total_CRW is None:
            total_CRW = torch.bmm(weights_CRr, rows_CrW)
        else:
            total_CRW.baddbmm_(weights_CRr, rows_CrW)
    if total_CRW is None:
        raise ValueError("there are no maps to average")
    return total_CRW.div_(len(maps))


def _band_rows(num_classes: int, width: int, device: torch.device) -> int:
    """Return how many rows of an image are averaged at a time."""
    band_bytes = _BAND_BYTES if device.type == "cpu" else _GPU_BAND_BYTES
    return max(1, band_bytes // (4 * num_classes * width))


def _band(
    stored: ProbabilityMap, size: tuple[int, int], top: int, bottom: int
) -> tuple[Tensor, Tensor]:
    """Return the rows of a map that rows of the image need, at its width, and how they mix."""
    height, width = size
    # Which rows: computed on the host, with the arithmetic of the device, which is not waited for.
    ratio = stored.height / height
    first = int(_source(np.float32(top), ratio))
    last = min(int(_source(np.float32(bottom - 1), ratio)) + 2, stored.height)
    places = torch.arange(top, bottom, dtype=torch.float32, device=stored.device)
    source = ((places + 0.5) * ratio - 0.5).clamp_(min=0)
    above = source.floor()
    upper = above.to(torch.int64) - first
    lower = (upper + 1).clamp_(max=last - first - 1)
    weights_Rr = torch.zeros(bottom - top, last - first, device=stored.device)
    weights_Rr.scatter_add_(1, upper[:, None], 1 - (source - above)[:, None])
    weights_Rr.scatter_add_(1, lower[:, None], (source - above)[:, None])
    rows_Crw = stored.rows(first, last)
    # Rows stay as they are here: only columns are interpolated.
    rows_CrW = functional.interpolate(
        rows_Crw[None], size=(last - first, width), mode="bilinear", align_corners=False
    )[0]
    return weights_Rr, rows_CrW


def _source(place: np.float32, ratio: float) -> np.float32:
    """Return where a pixel's centre lies in a map, as `align_corners=False` has it."""
    half = np.float32(0.5)
    return max((place + half) * np.float32(ratio) - half, np.float32(0))
