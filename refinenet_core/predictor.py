"""Prediction with multi-scale averaging of probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from refinenet_core.folding import folded_copy
from refinenet_core.fusion import average_rows, fuse
from refinenet_core.preprocessing import IMAGENET, Image, check_image, normalise, rescale

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None
    mean_confidence: float
    probabilities: npt.NDArray[np.uint8] | None = None


class MultiScalePredictor:
    """Predict label maps by averaging softmax probabilities over scales and flips.

    The rule is that of the published single- and multi-scale evaluation: the normalised image is
    resized to each scale, the softmax is taken at stride 4, each map is resized bilinearly to the
    image's size, the maps are averaged with equal weights, and the most probable class wins; the
    lowest class id wins a tie (RefineNet, section 4; Light-Weight RefineNet, section 4).

    Args:
        model: Network that returns logits at stride 4. It is copied, never changed. Images are
            normalised by its `normalisation`, or with ImageNet's mean and std if it has none.
        scales: Factors on the image's sides, each above 0.
        flip: Add the horizontally flipped image, as a second map of equal weight per scale.
        device: Where to run, for example "cpu" or "cuda:0".
        precision: Precision of the network's arithmetic; "auto" is what `resolve_precision` says.
            Softmax and averaging are float32 always.
        batch_pixels: Pixels (at scale 1) that one forward pass takes at most; a larger image is
            a batch alone. By default 2^22 on a GPU and 2^17 on a CPU, where a larger batch falls
            out of the cache.
        confidence: "map" for the confidence of each pixel, "mean" for its mean alone.
        probabilities: Whether to return the probabilities of all classes.

    Attributes:
        network: The copy that predicts.

    Raises:
        ValueError: A scale is not above 0, there is none, or the precision is unknown.
    """

    def __init__(
        self,
        model: nn.Module,
        scales: Sequence[float] = (1.0,),
        *,
        flip: bool = False,
        device: str = "cpu",
        precision: Precision = "float32",
        batch_pixels: int | None = None,
        confidence: Literal["map", "mean"] = "map",
        probabilities: bool = False,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales are {tuple(scales)}; give at least one, each above 0")
        if batch_pixels is None:
            batch_pixels = 1 << 17 if torch.device(device).type == "cpu" else 1 << 22
        if batch_pixels < 1:
            raise ValueError(f"batch_pixels is {batch_pixels}; it must be at least 1")
        self.scales = tuple(float(scale) for scale in scales)
        self.flip = flip
        self.device = torch.device(device)
        self.precision = resolve_precision(precision, device)
        self.batch_pixels = batch_pixels
        self.confidence = confidence
        self.probabilities = probabilities
        self._normalisation = getattr(model, "normalisation", IMAGENET)
        self._dtype = _DTYPES[self.precision]
        self.network = (
            folded_copy(model).to(self.device, self._dtype).to(memory_format=torch.channels_last)
        )

    def predict(self, images: Sequence[Image]) -> list[Prediction]:
        """Predict label maps; images of equal size share a batch, in the order given.

        Args:
            images: RGB arrays (H, W, 3), uint8; sizes may differ.

        Returns:
            A prediction per image, in the same order, at the image's own size.

        Raises:
            ValueError: The list is empty, or an image has another shape or dtype.
        """
        if not images:
            raise ValueError("no images given; predict needs at least one")
        for image in images:
            check_image(image)
        predictions: dict[int, Prediction] = {}
        # Equal inputs give equal bytes: no autotuned kernels, no TF32 under the name of float32.
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), exact:
            for batch in self._batches(images):
                predicted = self._predict_batch([images[index] for index in batch])
                predictions.update(zip(batch, predicted, strict=True))
        return [predictions[index] for index in range(len(images))]

    def _batches(self, images: Sequence[Image]) -> Iterator[list[int]]:
        """Yield indices of images that go through the network together."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(image.shape[:2], []).append(index)
        for (height, width), indices in by_size.items():
            batch_size = max(1, self.batch_pixels // (height * width))
            for start in range(0, len(indices), batch_size):
                yield indices[start : start + batch_size]

    def _predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        images_BCHW = normalise(images, self.device, self._normalisation)
        maps = list(self._probability_maps(images_BCHW))
        return [
            self._average([map_BCHW[index] for map_BCHW in maps], (image.shape[0], image.shape[1]))
            for index, image in enumerate(images)
        ]

    def _probability_maps(self, images_BCHW: Tensor) -> Iterator[Tensor]:
        """Yield softmax maps (B, C, h, w), float32, at stride 4 of each scale (and its flip)."""
        for scale in self.scales:
            scaled_BCHW = rescale(images_BCHW, scale).to(self._dtype)
            yield self.network(scaled_BCHW).float().softmax(dim=1)
            if self.flip:
                yield self.network(scaled_BCHW.flip(-1)).float().softmax(dim=1).flip(-1)

    def _average(self, maps_CHW: Sequence[Tensor], size: tuple[int, int]) -> Prediction:
        """Average one image's maps at its own size and take the best class of each pixel."""
        fused = fuse(maps_CHW, size, keep_confidence=self.confidence == "map")
        return Prediction(
            fused.labels.cpu().numpy(),
            None if fused.confidence is None else fused.confidence.cpu().numpy(),
            fused.mean_confidence,
            _quarter(maps_CHW, size) if self.probabilities else None,
        )


def _quarter(maps_CHW: Sequence[Tensor], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    mean_CHW = average_rows(maps_CHW, (height, width), 0, height)
    quantised: npt.NDArray[np.uint8] = (mean_CHW * 255).round_().to(torch.uint8).cpu().numpy()
    return quantised


def resolve_precision(
    precision: Precision, device: str
) -> Literal["float32", "bfloat16", "float16"]:
    """Return the precision that "auto" stands for: bfloat16 on a GPU that has it, else float32.

    Raises:
        ValueError: The precision is unknown.
    """
    if precision == "auto":
        on_gpu = torch.device(device).type == "cuda"
        return "bfloat16" if on_gpu and torch.cuda.is_bf16_supported() else "float32"
    if precision not in _DTYPES:
        raise ValueError(f"precision is {precision!r}; choose auto, {', '.join(_DTYPES)}")
    return precision
