"""How fast the predictor is, beside the published loop, on the same images in the same run."""

import contextlib
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from refinenet_core.cpu_name import processor_name
from refinenet_core.networks.costs import model_cost
from refinenet_core.networks.models import build_model
from refinenet_core.networks.normalisation import (
    IMAGENET,
    Image,
    centre,
    rescale,
    scaled_size,
    upload,
)
from refinenet_core.prediction.averaging import ProbabilityMap, WholeMap, fuse
from refinenet_core.prediction.cuda_graphs import EAGER_USES
from refinenet_core.prediction.precisions import Precision
from refinenet_core.prediction.predictor import MultiScalePredictor

T = TypeVar("T")

_MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True)
class BenchmarkRecord:
    """What was measured; times are medians over rounds in which both ways alternate.

    Attributes:
        setting: Model, size, scales, precision, device, threads.
        hardware: What it ran on, with versions.
        loop_images_per_s: Of the published loop.
        images_per_s: Of the predictor.
        megapixels_per_s: Likewise, at the image's own size.
        ratio: Median of the rounds' ratios, predictor over loop; `ratios` has each.
        agreement: Share of pixels with equal labels.
        tflops: Operations of the network at its true sizes (2 per multiply-add) over all of the
            predictor's time.
        matrix_tflops: Of a matrix product in the same precision, in the same run.
        stage_s: Seconds an image spends in each stage of the predictor, on its own.
        peak_bytes: Peak memory of the loop and of the predictor, on a GPU.
    """

    setting: dict[str, Any]
    hardware: dict[str, str]
    loop_images_per_s: float
    images_per_s: float
    megapixels_per_s: float
    ratio: float
    ratios: list[float]
    agreement: float
    tflops: float
    matrix_tflops: float
    stage_s: dict[str, float]
    peak_bytes: dict[str, int] = field(default_factory=dict)


def run_benchmark(
    name: str,
    *,
    num_classes: int = 21,
    height: int = 375,
    width: int = 500,
    scales: Sequence[float] = (0.4, 0.6, 0.8, 1.0, 1.2),
    precision: Precision = "auto",
    device: str = "cpu",
    images: int = 4,
    rounds: int = 5,
) -> BenchmarkRecord:
    """Measure the predictor against the published loop, with random weights.

    Args:
        name: One of `list_models()`.
        num_classes: Number of classes.
        height: Of the images, in pixels.
        width: Likewise.
        scales: Factors on the image's sides.
        precision: Of the predictor; the loop is float32.
        device: Where to run.
        images: Images a round.
        rounds: How often both ways are timed, in turn, after rounds that are not.
    """
    torch.manual_seed(0)
    model = build_model(name, num_classes).eval().to(device)
    pictures = _pictures(images, height, width)
    predictor = MultiScalePredictor(
        model, scales, device=device, precision=precision, confidence="mean"
    )

    def loop() -> list[npt.NDArray[np.uint8]]:
        return [published_loop(model, picture, scales) for picture in pictures]

    def ours() -> list[npt.NDArray[np.uint8]]:
        return [prediction.labels for prediction in predictor.predict(pictures)]

    theirs_labels, ours_labels = loop(), ours()
    peak_bytes = _peak_bytes({"loop": loop, "predictor": ours}, device)
    for _ in range(EAGER_USES if device != "cpu" else 0):
        ours()  # until its size is captured, whose memory cannot be told from what is kept
    timed = [(_seconds(loop, device), _seconds(ours, device)) for _ in range(rounds)]
    seconds = statistics.median(time_s for _, time_s in timed)
    ratios = [loop_s / ours_s for loop_s, ours_s in timed]
    sizes = [scaled_size(height, width, scale) for scale in scales]
    flops = sum(model_cost(name, *size, num_classes).flops for size in sizes)
    return BenchmarkRecord(
        setting={
            "model": name,
            "num_classes": num_classes,
            "height": height,
            "width": width,
            "scales": list(scales),
            "precision": predictor.precision,
            "images": images,
            "rounds": rounds,
        },
        hardware=_hardware(device),
        loop_images_per_s=images / statistics.median(time_s for time_s, _ in timed),
        images_per_s=images / seconds,
        megapixels_per_s=images * height * width / seconds / 1e6,
        ratio=statistics.median(ratios),
        ratios=ratios,
        agreement=float(np.mean(np.stack(theirs_labels) == np.stack(ours_labels))),
        tflops=flops * images / seconds / 1e12,
        matrix_tflops=_matrix_tflops(device, predictor.precision),
        stage_s=_stage_seconds(predictor, pictures[0]),
        peak_bytes=peak_bytes,
    )


def published_loop(
    model: nn.Module, image: Image, scales: Sequence[float]
) -> npt.NDArray[np.uint8]:
    """Predict as the published code does: an image at a time, every map at full size.

    Resize, softmax, bilinear enlargement, mean and argmax, in float32 and PyTorch's default
    layout; on a GPU with `cudnn.benchmark` and PyTorch's other defaults.
    """
    device = next(model.parameters()).device
    mean, std = (torch.tensor(values, device=device) for values in (IMAGENET.mean, IMAGENET.std))
    size = (image.shape[0], image.shape[1])
    maps = []
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        pixels_HWC = torch.from_numpy(image).to(device).float() / 255
        pixels_BCHW = ((pixels_HWC - mean) / std).permute(2, 0, 1)[None].contiguous()
        for scale in scales:
            scaled_BCHW = functional.interpolate(
                pixels_BCHW, size=scaled_size(*size, scale), mode="bilinear", align_corners=False
            )
            low_BCHW = model(scaled_BCHW).softmax(dim=1)
            maps.append(
                functional.interpolate(low_BCHW, size=size, mode="bilinear", align_corners=False)
            )
        labels_HW = torch.stack(maps).mean(dim=0)[0].argmax(dim=0)
    labels: npt.NDArray[np.uint8] = labels_HW.to(torch.uint8).cpu().numpy()
    return labels


def _pictures(images: int, height: int, width: int) -> list[Image]:
    """Return images with structure at several sizes, so that labels vary."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(images):
        coarse = torch.from_numpy(rng.random((1, 3, height // 40 + 2, width // 40 + 2)))
        smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic")
        noisy = smooth[0].permute(1, 2, 0).numpy() + rng.normal(0, 0.05, (height, width, 3))
        pictures.append((noisy.clip(0, 1) * 255).astype(np.uint8))
    return pictures


def _seconds(work: Callable[[], object], device: str) -> float:
    _synchronise(device)
    start = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def _matrix_tflops(device: str, precision: str) -> float:
    """Return the rate of a square matrix product, the best of some."""
    side = _MATRIX_SIDE[torch.device(device).type]
    one = torch.randn(side, side, device=device, dtype=getattr(torch, precision))
    best_s = min(_seconds(lambda: one @ one, device) for _ in range(5))
    return 2 * side**3 / best_s / 1e12


def _stage_seconds(predictor: MultiScalePredictor, image: Image) -> dict[str, float]:
    """Time the predictor's stages on one image; the network's parts by hooks on its copy."""
    device, network = str(predictor.device), predictor.network
    stages: dict[str, float] = {}
    size = (image.shape[0], image.shape[1])

    def timed(name: str, work: Callable[[], T]) -> T:
        _synchronise(device)
        start = time.perf_counter()
        result = work()
        _synchronise(device)
        stages[name] = stages.get(name, 0.0) + time.perf_counter() - start
        return result

    def one_image() -> None:
        images_BHWC = timed("copies", lambda: upload([image], predictor.device))
        pixels_BCHW = timed("normalise", lambda: centre(images_BHWC))
        maps: list[ProbabilityMap] = []
        for scale in predictor.scales:
            scaled_BCHW = timed("resize", partial(rescale, pixels_BCHW, scale)).to(dtype)
            logits_BCHW = timed("network", partial(network, scaled_BCHW))
            softmax = timed("softmax", partial(torch.softmax, logits_BCHW.float(), dim=1))
            maps.append(WholeMap(softmax[0]))
        fused = timed("fusion", lambda: fuse(maps, size, keep_confidence=False))
        timed("copies", fused.labels.cpu)

    dtype = getattr(torch, predictor.precision)
    with torch.inference_mode(), _timing_parts(network, device, stages):
        one_image()
        stages.clear()  # the first time is not like the others
        one_image()
    return stages


@contextlib.contextmanager
def _timing_parts(network: nn.Module, device: str, stages: dict[str, float]) -> Iterator[None]:
    """Add up the seconds that a network's direct children take."""
    hooks, starts = [], {}

    def begin(name: str, *_: object) -> None:
        _synchronise(device)
        starts[name] = time.perf_counter()

    def end(name: str, *_: object) -> None:
        _synchronise(device)
        part = f"network.{name}"
        stages[part] = stages.get(part, 0.0) + time.perf_counter() - starts[name]

    for name, child in network.named_children():
        hooks.append(child.register_forward_pre_hook(partial(begin, name)))
        hooks.append(child.register_forward_hook(partial(end, name)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _peak_bytes(ways: dict[str, Callable[[], object]], device: str) -> dict[str, int]:
    """Return the peak of allocated memory of each way; PyTorch counts it on a GPU alone."""
    peaks = {}
    for name, work in ways.items():
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats(device)
            _seconds(work, device)
            peaks[name] = torch.cuda.max_memory_allocated(device)
    return peaks


def _hardware(device: str) -> dict[str, str]:
    on_gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else processor_name(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
