"""From decoded images to the network's input."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation, by which a network's input is centred; of RGB in 0 to 1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HALVES = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def check_image(image: Image) -> None:
    """Raise ValueError unless `image` is a uint8 array of shape (H, W, 3) with H, W ≥ 1."""
    if image.dtype != np.uint8:
        raise ValueError(f"image has dtype {image.dtype}; expected uint8 (values 0 to 255)")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image has shape {image.shape}; expected (H, W, 3) with H, W ≥ 1")


def normalise(
    images: Sequence[Image], device: torch.device, normalisation: Normalisation = IMAGENET
) -> Tensor:
    """Stack equal-sized RGB images, scale them to 0 to 1, subtract the mean, divide by the std.

    Args:
        images: Arrays of one shape (H, W, 3), uint8.
        device: Where the result lies.
        normalisation: Mean and std.

    Returns:
        Tensor (B, 3, H, W), float32, in channels_last memory.
    """
    return centre(upload(images, device), normalisation)


def upload(images: Sequence[Image], device: torch.device) -> Tensor:
    """Stack equal-sized images on a device; a GPU is not waited for.

    Args:
        images: Arrays of one shape (H, W, 3), uint8.
        device: Where the result lies.

    Returns:
        Tensor (B, H, W, 3), uint8.
    """
    if device.type != "cuda":
        return torch.from_numpy(np.stack(images)).to(device)
    pinned_BHWC = torch.empty((len(images), *images[0].shape), dtype=torch.uint8, pin_memory=True)
    np.stack(images, out=pinned_BHWC.numpy())
    return pinned_BHWC.to(device, non_blocking=True)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on a device; a GPU is not waited for."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def centre(images_BHWC: Tensor, normalisation: Normalisation = IMAGENET) -> Tensor:
    """Scale images to 0 to 1, subtract the mean, divide by the standard deviation.

    Args:
        images_BHWC: RGB, shape (B, H, W, 3), uint8.
        normalisation: Mean and std.

    Returns:
        Tensor (B, 3, H, W), float32, in channels_last memory.
    """
    mean, std = _mean_and_std(normalisation, images_BHWC.device)
    pixels_BCHW = images_BHWC.permute(0, 3, 1, 2).to(torch.float32)
    return ((pixels_BCHW / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@cache  # making them anew would wait for the GPU, and cannot be part of a CUDA graph
def _mean_and_std(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(mode=False):  # training uses them too
        mean = torch.tensor(normalisation.mean, device=device).view(1, 3, 1, 1)
        std = torch.tensor(normalisation.std, device=device).view(1, 3, 1, 1)
    return mean, std


def rescale(images_BCHW: Tensor, scale: float) -> Tensor:
    """Resize normalised images by a factor; scale 1.0 returns them unchanged."""
    return resize(images_BCHW, scaled_size(images_BCHW.shape[-2], images_BCHW.shape[-1], scale))


def resize(images_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize normalised images bilinearly, without antialiasing; their own size changes nothing."""
    if images_BCHW.shape[-2:] == size:
        return images_BCHW
    return functional.interpolate(images_BCHW, size=size, mode="bilinear", align_corners=False)


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return an image's height and width at a scale: `max(1, int(scale · side))` each.

    The published multi-scale evaluation truncates likewise.
    """
    return max(1, int(scale * height)), max(1, int(scale * width))
