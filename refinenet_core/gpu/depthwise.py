"""Depthwise convolution with the activations before and after it."""

from typing import Final, no_type_check

import triton
from torch import Tensor
from triton import language as tl

from refinenet_core.gpu.activations import Activation, activated
from refinenet_core.gpu.channels_last import channels_last, empty_map, windows

_ROWS: Final = 4  # of a program
_COLUMNS: Final = 16
_CHANNELS: Final = 32


def depthwise_conv(
    x_BCHW: Tensor,
    weight_KKC: Tensor,
    bias_C: Tensor,
    *,
    stride: int,
    padding: int,
    before: Activation = "none",
    after: Activation = "none",
) -> Tensor:
    """Filter each channel by itself; summed in float32, rounded once.

    cuDNN builds, and often compiles, a plan for each new size of such a convolution: seconds.

    Args:
        x_BCHW: A map, float32, bfloat16 or float16.
        weight_KKC: A square filter for each channel, shape (K, K, C).
        bias_C: Added to each channel.
        stride: Of the window, down and across.
        padding: Zeros around the map.
        before: Activation of the map.
        after: Activation of the result.

    Returns:
        A map (B, C, H', W') of the same dtype, channels last.
    """
    x_BCHW = channels_last(x_BCHW)
    images, channels, height, width = x_BCHW.shape
    kernel = weight_KKC.shape[0]
    out_height, out_width = windows(x_BCHW, kernel, stride=stride, padding=padding)
    out_BCHW = empty_map(x_BCHW, channels, out_height, out_width)
    rows = _ROWS if kernel < 5 else 1  # what is loaded for more of them fills the registers
    strips = triton.cdiv(out_height, rows)
    grid = (images * strips, triton.cdiv(out_width, _COLUMNS), triton.cdiv(channels, _CHANNELS))
    depthwise_kernel[grid](
        x_BCHW,
        weight_KKC,
        bias_C,
        out_BCHW,
        height,
        width,
        out_height,
        out_width,
        channels,
        strips,
        KERNEL=kernel,
        STRIDE=stride,
        PADDING=padding,
        BEFORE=before,
        AFTER=after,
        ROWS=rows,
        COLUMNS=_COLUMNS,
        CHANNELS=_CHANNELS,
        num_warps=4,
    )
    return out_BCHW


@triton.jit(do_not_specialize=["height", "width", "out_height", "out_width", "strips"])
@no_type_check  # it is Triton's language, not Python
def depthwise_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    channels: tl.tensor,
    strips: tl.tensor,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    PADDING: tl.constexpr,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Filter some rows, some columns wide, of some channels.

    Args:
        x: Pointer to (B, H, W, C).
        weight: Pointer to (KERNEL, KERNEL, C).
        bias: Pointer to (C).
        out: Pointer to (B, H', W', C), written.
        height: H.
        width: W.
        out_height: H'.
        out_width: W'.
        channels: C.
        strips: Strips of `ROWS` rows of a result.
        KERNEL: Side of the filters.
        STRIDE: Of the window.
        PADDING: Zeros around the map.
        BEFORE: Activation of what is read.
        AFTER: Activation of what is written.
        ROWS: Rows of a program.
        COLUMNS: Columns of a program.
        CHANNELS: Channels of a program.
    """
    image = (tl.program_id(0) // strips).to(tl.int64)
    first = (tl.program_id(0) % strips) * ROWS
    out_column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    known = channel < channels
    factors = ()
    for tap in tl.static_range(KERNEL * KERNEL):
        factors += (tl.load(weight + tap * channels + channel, known, other=0.0).to(tl.float32),)
    values = ()  # `KERNEL` of each row of the map that the strip's windows reach
    for down in tl.static_range((ROWS - 1) * STRIDE + KERNEL):
        row = first * STRIDE + (down - PADDING)
        there = known & (row >= 0) & (row < height)
        line = x + (image * height + row) * width * channels + channel
        for across in tl.static_range(KERNEL):
            column = out_column * STRIDE + (across - PADDING)
            inside = there & (column >= 0) & (column < width)
            value = tl.load(line + column * channels, inside, other=0.0).to(tl.float32)
            values += (activated(value, BEFORE),)
    offset = tl.load(bias + channel, known, other=0.0).to(tl.float32)
    for i in tl.static_range(ROWS):
        total = tl.zeros((COLUMNS, CHANNELS), tl.float32) + offset
        for tap in tl.static_range(KERNEL * KERNEL):
            total += values[i * STRIDE * KERNEL + tap] * factors[tap]
        out_row = first + i
        line = out + (image * out_height + out_row) * out_width * channels + channel
        wanted = known & (out_column < out_width) & (out_row < out_height)
        total = activated(total, AFTER)
        tl.store(line + out_column * channels, total.to(out.dtype.element_ty), wanted)
