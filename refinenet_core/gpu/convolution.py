"""Convolution as one product of matrices, with a sum and an activation, on tensor cores."""

from typing import Final, no_type_check

import triton
from torch import Tensor
from triton import language as tl

from refinenet_core.gpu.activations import Activation, activated
from refinenet_core.gpu.channels_last import channels_last, empty_map, windows

_FEW_CHANNELS: Final = 8  # of an image, say: then a step of the product takes several pixels'


def convolve(
    x_BCHW: Tensor,
    weight_KKIO: Tensor,
    bias_O: Tensor,
    *,
    stride: int = 1,
    padding: int = 0,
    added_BCHW: Tensor | None = None,
    activation: Activation = "none",
) -> Tensor:
    """Convolve, add, activate; summed in float32, rounded once.

    The pixels of a window are gathered while the product runs: nothing is planned for a size.

    Args:
        x_BCHW: A map, bfloat16 or float16.
        weight_KKIO: Weights, shape (K, K, in, out), of the same dtype.
        bias_O: Added to each output channel.
        stride: Of the window, down and across.
        padding: Zeros around the map.
        added_BCHW: A map of the result's shape, added before the activation.
        activation: Of the sum.

    Returns:
        A map (B, out, H', W') of the same dtype, channels last.
    """
    x_BCHW = channels_last(x_BCHW)
    images, in_channels, height, width = x_BCHW.shape
    kernel, out_channels = weight_KKIO.shape[0], weight_KKIO.shape[3]
    out_height, out_width = windows(x_BCHW, kernel, stride=stride, padding=padding)
    out_BCHW = empty_map(x_BCHW, out_channels, out_height, out_width)
    pixels = images * out_height * out_width
    block_pixels, block_outputs, warps, stages = _blocks(pixels, out_channels)
    grid = (triton.cdiv(pixels, block_pixels) * triton.cdiv(out_channels, block_outputs),)
    gathered = in_channels < _FEW_CHANNELS
    convolution_kernel[grid](
        x_BCHW,
        weight_KKIO,
        bias_O,
        out_BCHW if added_BCHW is None else channels_last(added_BCHW),
        out_BCHW,
        pixels,
        height,
        width,
        out_height,
        out_width,
        in_channels,
        out_channels,
        KERNEL=kernel,
        STRIDE=stride,
        PADDING=padding,
        GATHERED=gathered,
        ADDED=added_BCHW is not None,
        ACTIVATION=activation,
        PIXELS=block_pixels,
        OUTPUTS=block_outputs,
        INPUTS=32 if gathered else 64,
        num_warps=warps,
        num_stages=stages,
    )
    return out_BCHW


def _blocks(pixels: int, out_channels: int) -> tuple[int, int, int, int]:
    """Return pixels and output channels of a program, its warps and its stages (on an H100)."""
    if out_channels <= 64:
        return 128, 32 if out_channels <= 32 else 64, 4, 3
    if out_channels <= 128:
        return 128, 128, 4, 3
    return (128, 256, 8, 3) if pixels >= 1 << 14 else (64, 128, 4, 4)


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width"])
@no_type_check  # it is Triton's language, not Python
def convolution_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    added: tl.tensor,
    out: tl.tensor,
    pixels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    in_channels: tl.tensor,
    out_channels: tl.tensor,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    GATHERED: tl.constexpr,
    ADDED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    PIXELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
) -> None:
    """Compute some output channels of some pixels.

    Args:
        x: Pointer to (B, H, W, I).
        weight: Pointer to (KERNEL, KERNEL, I, O).
        bias: Pointer to (O).
        added: Pointer to (B, H', W', O), read with `ADDED`.
        out: Pointer to (B, H', W', O), written.
        pixels: B * H' * W'.
        height: H.
        width: W.
        out_height: H'.
        out_width: W'.
        in_channels: I.
        out_channels: O.
        KERNEL: Side of the window.
        STRIDE: Of the window.
        PADDING: Zeros around the map.
        GATHERED: Whether a step takes channels of several pixels of the window, and not of one.
        ADDED: Whether a map is added.
        ACTIVATION: Of the sum.
        PIXELS: Pixels of a program.
        OUTPUTS: Output channels of a program.
        INPUTS: Rows of the weights that a step takes.
    """
    columns = tl.cdiv(out_channels, OUTPUTS)
    pixel = (tl.program_id(0) // columns) * PIXELS + tl.arange(0, PIXELS)
    output = (tl.program_id(0) % columns) * OUTPUTS + tl.arange(0, OUTPUTS)
    known = pixel < pixels
    top = (pixel // out_width) % out_height * STRIDE - PADDING
    left = pixel % out_width * STRIDE - PADDING
    image = (pixel // (out_width * out_height)).to(tl.int64)
    corner = ((image * height + top) * width + left) * in_channels
    total = tl.zeros((PIXELS, OUTPUTS), tl.float32)
    if GATHERED:
        rows = KERNEL * KERNEL * in_channels
        for step in range(tl.cdiv(rows, INPUTS)):
            index = step * INPUTS + tl.arange(0, INPUTS)
            down = index // (KERNEL * in_channels)
            across = index // in_channels % KERNEL
            row = top[:, None] + down[None, :]
            column = left[:, None] + across[None, :]
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = (down * width + across) * in_channels + index % in_channels
            given = tl.load(
                x + corner[:, None] + place[None, :],
                inside & known[:, None] & (index < rows)[None, :],
                other=0.0,
            )
            factors = tl.load(
                weight + index[:, None] * out_channels + output[None, :],
                (index < rows)[:, None] & (output < out_channels)[None, :],
                other=0.0,
            )
            total = tl.dot(given, factors, total)
    else:
        steps = tl.cdiv(in_channels, INPUTS)
        for step in range(KERNEL * KERNEL * steps):
            tap = step // steps
            channel = (step % steps) * INPUTS + tl.arange(0, INPUTS)
            row = top + tap // KERNEL
            column = left + tap % KERNEL
            inside = known & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = corner + (tap // KERNEL * width + tap % KERNEL) * in_channels
            given = tl.load(
                x + place[:, None] + channel[None, :],
                inside[:, None] & (channel < in_channels)[None, :],
                other=0.0,
            )
            factors = tl.load(
                weight + (tap * in_channels + channel[:, None]) * out_channels + output[None, :],
                (channel < in_channels)[:, None] & (output < out_channels)[None, :],
                other=0.0,
            )
            total = tl.dot(given, factors, total)
    total += tl.load(bias + output, output < out_channels, other=0.0).to(tl.float32)[None, :]
    place = pixel.to(tl.int64)[:, None] * out_channels + output[None, :]
    wanted = known[:, None] & (output < out_channels)[None, :]
    if ADDED:
        total += tl.load(added + place, wanted, other=0.0).to(tl.float32)
    tl.store(out + place, activated(total, ACTIVATION).to(out.dtype.element_ty), wanted)
