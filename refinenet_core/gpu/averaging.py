"""Averaging as one step on a GPU: a Triton kernel that goes from maps at stride 4 to labels."""

from collections.abc import Sequence
from typing import no_type_check

import torch
import triton
from torch import Tensor
from triton import language as tl

_BLOCK_PIXELS = 256  # of a program, one a thread


def fuse_batch(
    maps: Sequence[Tensor], size: tuple[int, int], *, keep_confidence: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Average whole probability maps at an image's size and take the best class of each pixel.

    The rule is that of `averaging.fuse`. Only what is returned is written, and nothing is waited
    for.

    Args:
        maps: Probabilities of a batch of images, each of shape (B, C, h, w), float32, on one
            device.
        size: Height and width of the images.
        keep_confidence: Whether to return the confidence of each pixel.

    Returns:
        Class ids, shape (B, H, W), uint8; the mean probability of that class, of the same shape,
        float32, or None; and its mean over each image, shape (B), float64.
    """
    height, width = size
    maps = [each.contiguous() for each in maps]
    device, (images, num_classes) = maps[0].device, maps[0].shape[:2]
    blocks = triton.cdiv(height * width, _BLOCK_PIXELS)
    labels_BHW = torch.empty(images, *size, dtype=torch.uint8, device=device)
    confidence_BHW = torch.empty((images, *size) if keep_confidence else (0,), device=device)
    sums_BN = torch.empty(images, blocks, device=device)
    fusion_kernel[(images * blocks,)](
        tuple(maps),
        tuple(float(each.shape[2]) for each in maps),
        tuple(float(each.shape[3]) for each in maps),
        tuple(each.shape[2] / height for each in maps),
        tuple(each.shape[3] / width for each in maps),
        labels_BHW,
        confidence_BHW,
        sums_BN,
        height,
        width,
        blocks,
        NUM_MAPS=len(maps),
        NUM_CLASSES=num_classes,
        KEEP_CONFIDENCE=keep_confidence,
        BLOCK=_BLOCK_PIXELS,
        num_warps=_BLOCK_PIXELS // 32,
        enable_fp_fusion=False,  # the plain way rounds each step, and borders hang on it
    )
    means_B = sums_BN.sum(dim=1, dtype=torch.float64) / (height * width)
    return labels_BHW, confidence_BHW if keep_confidence else None, means_B


# Sizes are not compiled in: a data set has many. In a tuple, Triton compiles whole numbers in
# where they are 1 or multiples of 16, but never floats.
@triton.jit(do_not_specialize=["height", "width", "blocks"])
@no_type_check  # it is Triton's language, not Python
def fusion_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    maps: tl.tuple,
    heights: tl.tuple,
    widths: tl.tuple,
    down: tl.tuple,
    across: tl.tuple,
    labels: tl.tensor,
    confidence: tl.tensor,
    sums: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    blocks: tl.tensor,
    NUM_MAPS: tl.constexpr,
    NUM_CLASSES: tl.constexpr,
    KEEP_CONFIDENCE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Compute labels, confidence and a sum of confidence for one block of an image's pixels.

    Args:
        maps: A pointer per map, to (B, C, h, w), float32.
        heights: h of each map, as floats.
        widths: w of each map, as floats.
        down: h / H of each map.
        across: w / W of each map.
        labels: Pointer to (B, H, W), uint8.
        confidence: Pointer to (B, H, W), float32, written with `KEEP_CONFIDENCE`.
        sums: Pointer to sums of confidence, (B, blocks), float32.
        height: H.
        width: W.
        blocks: Blocks of an image.
        NUM_MAPS: Number of maps.
        NUM_CLASSES: C.
        KEEP_CONFIDENCE: Whether to write it.
        BLOCK: Pixels of a block, a power of 2.
    """
    program = tl.program_id(0)
    image = (program // blocks).to(tl.int64)
    pixel = (program % blocks).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < height.to(tl.int64) * width
    row = (pixel // width).to(tl.float32)
    column = (pixel % width).to(tl.float32)
    planes = ()  # of each map: where the image begins, and how far its classes are apart
    corners = ()  # four of each map: where a pixel's neighbours lie in the plane of a class
    shares = ()  # two of each map: of the lower and of the right neighbours
    for i in tl.static_range(NUM_MAPS):
        map_height = tl.cast(heights[i], tl.int32)
        map_width = tl.cast(widths[i], tl.int32)
        y = tl.maximum((row + 0.5) * down[i] - 0.5, 0.0)
        x = tl.maximum((column + 0.5) * across[i] - 0.5, 0.0)
        top = tl.minimum(y.to(tl.int32), map_height - 1)
        left = tl.minimum(x.to(tl.int32), map_width - 1)
        bottom = tl.minimum(top + 1, map_height - 1) * map_width
        right = tl.minimum(left + 1, map_width - 1)
        shares += (y - top, x - left)
        top *= map_width
        corners += (top + left, top + right, bottom + left, bottom + right)
        plane_size = map_height.to(tl.int64) * map_width
        planes += (maps[i] + image * NUM_CLASSES * plane_size, plane_size)
    best = tl.full((BLOCK,), -1.0, tl.float32)
    label = tl.zeros((BLOCK,), tl.int32)
    for class_id in range(NUM_CLASSES):
        total = tl.zeros((BLOCK,), tl.float32)
        for i in tl.static_range(NUM_MAPS):
            plane = planes[2 * i] + class_id * planes[2 * i + 1]
            lower = shares[2 * i]
            righter = shares[2 * i + 1]
            upper_left = tl.load(plane + corners[4 * i], inside)
            upper_right = tl.load(plane + corners[4 * i + 1], inside)
            lower_left = tl.load(plane + corners[4 * i + 2], inside)
            lower_right = tl.load(plane + corners[4 * i + 3], inside)
            upper_mix = upper_left * (1 - righter) + upper_right * righter
            lower_mix = lower_left * (1 - righter) + lower_right * righter
            total += upper_mix * (1 - lower) + lower_mix * lower
        # As `torch.max` has it, the first of equals wins, and nothing beats "not a number".
        better = (best == best) & ~(total <= best)  # noqa: PLR0124
        best = tl.where(better, total, best)
        label = tl.where(better, class_id, label)
    best /= NUM_MAPS
    place = image * height * width + pixel
    tl.store(labels + place, label.to(tl.uint8), inside)
    if KEEP_CONFIDENCE:
        tl.store(confidence + place, best, inside)
    tl.store(sums + program, tl.sum(tl.where(inside, best, 0.0)))
