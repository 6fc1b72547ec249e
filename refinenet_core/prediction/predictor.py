"""Prediction with multi-scale averaging of probabilities."""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Literal

import torch
from torch import Tensor, nn

from refinenet_core.gpu.availability import kernels_run
from refinenet_core.networks.models import RefineNet
from refinenet_core.networks.normalisation import (
    IMAGENET,
    Image,
    centre,
    check_image,
    resize,
    upload,
)
from refinenet_core.prediction.averaging import (
    Fused,
    ProbabilityMap,
    WholeMap,
    average_rows,
    fuse,
    fuse_batch,
)
from refinenet_core.prediction.batch_norm_folding import folded_copy
from refinenet_core.prediction.cuda_graphs import CapturedShapes, GraphCapture
from refinenet_core.prediction.exact_arithmetic import exact_arithmetic
from refinenet_core.prediction.network_pixels import PIXELS_PER_PASS
from refinenet_core.prediction.precisions import Precision, resolve_precision
from refinenet_core.prediction.prediction import AveragedImage, Prediction, StartedPrediction
from refinenet_core.prediction.protocols import PROTOCOLS, ProtocolName, View, Views, plan_views
from refinenet_core.prediction.tiling import SMALLEST_TILE_PIXELS, TiledMap


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
        protocol: At which sizes the network looks at an image, and where maps are averaged: see
            `refinenet_core.prediction.protocols`. Only "native" tiles what is too large for a pass.
        device: Where to run, for example "cpu" or "cuda:0".
        precision: Precision of the network's arithmetic; "auto" is what `resolve_precision` says.
            Softmax and averaging are float32 always.
        batch_pixels: Pixels (at scale 1) that one forward pass takes at most; a larger image is
            a batch alone. By default 2^22 on a GPU and 2^17 on a CPU, where a larger batch falls
            out of the cache.
        max_pixels_per_pass: An image of more pixels, at its largest scale, is predicted in
            overlapping tiles of half as many. By default 2^24 on a GPU and 2^22 on a CPU.
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
        protocol: ProtocolName = "native",
        device: str = "cpu",
        precision: Precision = "float32",
        batch_pixels: int | None = None,
        max_pixels_per_pass: int | None = None,
        confidence: Literal["map", "mean"] = "map",
        probabilities: bool = False,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales are {tuple(scales)}; give at least one, each above 0")
        on_cpu = torch.device(device).type == "cpu"
        if batch_pixels is None:
            batch_pixels = 1 << 17 if on_cpu else 1 << 22
        if max_pixels_per_pass is None:
            max_pixels_per_pass = PIXELS_PER_PASS["cpu" if on_cpu else "cuda"]
        if batch_pixels < 1:
            raise ValueError(f"batch_pixels is {batch_pixels}; it must be at least 1")
        if max_pixels_per_pass < SMALLEST_TILE_PIXELS:
            raise ValueError(
                f"max_pixels_per_pass is {max_pixels_per_pass}; it must be at least "
                f"{SMALLEST_TILE_PIXELS}"
            )
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}; choose {', '.join(PROTOCOLS)}")
        self.protocol: ProtocolName = protocol
        self.scales = tuple(float(scale) for scale in scales)
        self.flip = flip
        self._flips = (False, True) if flip else (False,)
        self.device = torch.device(device)
        self.precision = resolve_precision(precision, device)
        self.batch_pixels = batch_pixels
        self.max_pixels_per_pass = max_pixels_per_pass
        self._working_pixels = sys.maxsize  # lowered where memory does not suffice
        self._working_pass = max_pixels_per_pass
        self.confidence = confidence
        self.probabilities = probabilities
        self._normalisation = getattr(model, "normalisation", IMAGENET)
        self._dtype: torch.dtype = getattr(torch, self.precision)
        self.network = (
            folded_copy(model).to(self.device, self._dtype).to(memory_format=torch.channels_last)
        )
        if isinstance(self.network, RefineNet) and kernels_run(self.device):
            import_module("refinenet_core.gpu.network").fuse_network(self.network)
        # Of other networks only their author knows whether they launch the same each time.
        self._captured: CapturedShapes[list[AveragedImage]] | None = None
        if self.device.type == "cuda" and isinstance(self.network, RefineNet):
            self._captured = CapturedShapes(GraphCapture(self.device))

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
        started: list[tuple[int, StartedPrediction]] = []
        with torch.inference_mode(), exact_arithmetic(), self._on_device():
            for batch in self._batches(images):
                before = started  # finished only now that a GPU has the next to work on
                predicted = self._start_within_memory([images[index] for index in batch])
                started = list(zip(batch, predicted, strict=True))
                predictions.update((index, each.finished()) for index, each in before)
            predictions.update((index, each.finished()) for index, each in started)
        return [predictions[index] for index in range(len(images))]

    def _on_device(self) -> AbstractContextManager[object]:
        """Have kernels of our own, which ask for it, started on the GPU that is meant."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def _batches(self, images: Sequence[Image]) -> Iterator[list[int]]:
        """Yield indices of images that go through the network together."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            by_size.setdefault(image.shape[:2], []).append(index)
        for (height, width), indices in by_size.items():
            batch_size = max(1, self.batch_pixels // (height * width))
            for start in range(0, len(indices), batch_size):
                yield indices[start : start + batch_size]

    def _start_within_memory(self, images: Sequence[Image]) -> list[StartedPrediction]:
        """Predict equal-sized images; for want of memory, fewer at a time, then in tiles.

        What was too much once is not tried again.
        """
        pixels = len(images) * images[0].shape[0] * images[0].shape[1]
        if len(images) > 1 and pixels > self._working_pixels:
            middle = len(images) // 2
            halves = (images[:middle], images[middle:])
            started = [each for half in halves for each in self._start_within_memory(half)]
            return [replace(each, shrunk=True) for each in started]
        try:
            if self._needs_tiles(pixels):
                return [self._start_tiled(image) for image in images]
            return self._start_batch(images)
        except torch.OutOfMemoryError:
            if not self._save_memory(len(images), pixels):
                raise
        # Behind the block, whose exception holds on to the tensors of the failed attempt.
        return self._start_within_memory(images)

    def _needs_tiles(self, pixels: int) -> bool:
        largest = pixels * max(self.scales) ** 2
        return self.protocol == "native" and largest > self._working_pass

    def _save_memory(self, num_images: int, pixels: int) -> bool:
        """Take less memory than what some pixels took; return whether that is possible."""
        if self._captured is not None and self._captured.release():
            return True
        if num_images > 1:
            self._working_pixels = pixels // 2
            return True
        tried = min(self._working_pass, int(pixels * max(self.scales) ** 2))
        if tried <= SMALLEST_TILE_PIXELS or self.protocol != "native":
            return False
        self._working_pass = max(tried // 2, SMALLEST_TILE_PIXELS)
        return True

    def _start_batch(self, images: Sequence[Image]) -> list[StartedPrediction]:
        images_BHWC = upload(images, self.device)
        if self._captured is None:
            averaged = self._average_batch(images_BHWC)
        else:
            averaged = self._captured.run(self._average_batch, images_BHWC)
        return [self._started(each, images[0]) for each in averaged]

    def _average_batch(self, images_BHWC: Tensor) -> list[AveragedImage]:
        """Average what the network says of equal-sized images; all of it on the device."""
        images_BCHW = centre(images_BHWC, self._normalisation)
        views = self._views(images_BCHW.shape[2], images_BCHW.shape[3])
        maps_BCHW = [
            self._probabilities(_look(images_BCHW, view), flip=flip)
            for view in views.views
            for flip in self._flips
        ]
        totals_B = torch.stack([each.sum(dim=(1, 2, 3)) for each in maps_BCHW]).sum(dim=0)
        maps_of_images = [list(map(WholeMap, each)) for each in zip(*maps_BCHW, strict=True)]
        if views.fused_at_largest:
            return [
                AveragedImage(*self._average(maps, views), total)
                for maps, total in zip(maps_of_images, totals_B, strict=True)
            ]
        size = views.region.size
        fused = fuse_batch(maps_BCHW, size, keep_confidence=self.confidence == "map")
        return [
            AveragedImage(each, _quarter(maps, size) if self.probabilities else None, total)
            for each, maps, total in zip(fused, maps_of_images, totals_B, strict=True)
        ]

    def _start_tiled(self, image: Image) -> StartedPrediction:
        total = torch.zeros((), device=self.device)

        def probabilities(pixels_BCHW: Tensor, *, flip: bool) -> Tensor:
            tile_BCHW = self._probabilities(pixels_BCHW, flip=flip)
            total.add_(tile_BCHW.sum())
            return tile_BCHW

        maps = [
            TiledMap(
                partial(probabilities, flip=flip),
                image,
                scale,
                tile_pixels=self._working_pass // 2,
                normalisation=self._normalisation,
                device=self.device,
            )
            for scale in self.scales
            for flip in self._flips
        ]
        averaged = AveragedImage(*self._average(maps, self._views(*image.shape[:2])), total)
        shrunk = self._working_pass < self.max_pixels_per_pass
        return replace(self._started(averaged, image), shrunk=shrunk)

    def _started(self, averaged: AveragedImage, image: Image) -> StartedPrediction:
        """Begin to copy an image's results to the host."""
        on_gpu = self.device.type == "cuda"

        def fetched(values: Tensor) -> Tensor:
            return values.to("cpu", non_blocking=on_gpu)  # of a GPU, into pinned memory

        fused, probabilities = averaged.fused, averaged.probabilities
        on_host = AveragedImage(
            Fused(
                fetched(fused.labels),
                None if fused.confidence is None else fetched(fused.confidence),
                fetched(fused.mean_confidence),
            ),
            None if probabilities is None else fetched(probabilities),
            fetched(averaged.total),
        )
        arrived = torch.cuda.current_stream(self.device).record_event() if on_gpu else None
        size = (image.shape[0], image.shape[1])
        return StartedPrediction(on_host, arrived, size, self._views(*size).region)

    def _views(self, height: int, width: int) -> Views:
        return plan_views(self.protocol, height, width, self.scales)

    def _probabilities(self, pixels_BCHW: Tensor, *, flip: bool) -> Tensor:
        """Return the softmax (B, C, h, w), float32, at stride 4; of a flipped view, turned back."""
        pixels_BCHW = pixels_BCHW.to(self._dtype)
        logits_BCHW: Tensor = self.network(pixels_BCHW.flip(-1) if flip else pixels_BCHW)
        probabilities_BCHW = logits_BCHW.float().softmax(dim=1)
        return probabilities_BCHW.flip(-1) if flip else probabilities_BCHW

    def _average(self, maps: Sequence[ProbabilityMap], views: Views) -> tuple[Fused, Tensor | None]:
        """Average one image's maps at its own size and take the best class of each pixel."""
        size = views.region.size
        if views.fused_at_largest:
            largest = max((_size_of(each) for each in maps), key=math.prod)
            maps = [WholeMap(average_rows(maps, largest, 0, largest[0]))]
        fused = fuse(maps, size, keep_confidence=self.confidence == "map")
        return fused, _quarter(maps, size) if self.probabilities else None


def _look(images_BCHW: Tensor, view: View) -> Tensor:
    """Resize images and crop them to a view."""
    resized_BCHW = resize(images_BCHW, view.resized)
    if view.crop.size == view.resized:
        return resized_BCHW
    rows, columns = view.crop.slices
    return resized_BCHW[:, :, rows, columns].contiguous(memory_format=torch.channels_last)


def _size_of(probabilities: ProbabilityMap) -> tuple[int, int]:
    return probabilities.height, probabilities.rows(0, 1).shape[2]


def _quarter(maps: Sequence[ProbabilityMap], size: tuple[int, int]) -> Tensor:
    """Return the average at a quarter of a size, shape (C, ceil(h / 4), ceil(w / 4)), uint8."""
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    mean_CHW = average_rows(maps, (height, width), 0, height)
    return (mean_CHW * 255).round_().to(torch.uint8)
