"""The largest value of each window, as `torch.nn.functional.max_pool2d` has it."""

from typing import Final, no_type_check

import triton
from torch import Tensor
from triton import language as tl

from refinenet_core.gpu.channels_last import channels_last, empty_map, windows

_ROWS: Final = 12  # of a program
_COLUMNS: Final = 8
_CHANNELS: Final = 64
_KEEPS_NAN: Final = tl.constexpr(tl.PropagateNan.ALL)


def max_pool(x_BCHW: Tensor, kernel: int, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Return the maximum of each window, of which padding is no part.

    PyTorch's own kernel for channels last loads every value of a window and writes indices too.
    Here the maximum of each of its rows is found once, for all windows that share the row.

    Args:
        x_BCHW: A map, float32, bfloat16 or float16.
        kernel: Side of the window.
        stride: Of the window, down and across.
        padding: Around the map; at most half of the window.

    Returns:
        A map (B, C, H', W') of the same dtype, channels last. Its values are PyTorch's, "not a
        number" included; of a zero the sign may differ.
    """
    x_BCHW = channels_last(x_BCHW)
    images, channels, height, width = x_BCHW.shape
    out_height, out_width = windows(x_BCHW, kernel, stride=stride, padding=padding)
    out_BCHW = empty_map(x_BCHW, channels, out_height, out_width)
    strips = triton.cdiv(out_height, _ROWS)
    grid = (images * strips, triton.cdiv(out_width, _COLUMNS), triton.cdiv(channels, _CHANNELS))
    max_pool_kernel[grid](
        x_BCHW,
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
        ROWS=_ROWS,
        COLUMNS=_COLUMNS,
        CHANNELS=_CHANNELS,
        num_warps=4,
    )
    return out_BCHW


# No loop of these is left to the compiler: of values that a loop hands on it once lost three of
# four (Triton 3.8, a loop of `a, b = b, c`), which its interpreter does not show.
@triton.jit(do_not_specialize=["height", "width", "out_height", "out_width", "strips"])
@no_type_check  # it is Triton's language, not Python
def max_pool_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    x: tl.tensor,
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
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Pool some rows, some columns wide, of some channels.

    Args:
        x: Pointer to (B, H, W, C).
        out: Pointer to (B, H', W', C), written.
        height: H.
        width: W.
        out_height: H'.
        out_width: W'.
        channels: C.
        strips: Strips of `ROWS` rows of a result.
        KERNEL: Side of the window.
        STRIDE: Of the window.
        PADDING: Around the map.
        ROWS: Rows of a program.
        COLUMNS: Columns of a program.
        CHANNELS: Channels of a program.
    """
    image = (tl.program_id(0) // strips).to(tl.int64)
    first = (tl.program_id(0) % strips) * ROWS
    out_column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    known = channel < channels
    maxima = ()  # of each row of the map that the strip's windows reach
    for down in tl.static_range((ROWS - 1) * STRIDE + KERNEL):
        row = first * STRIDE + (down - PADDING)
        there = known & (row >= 0) & (row < height)
        line = x + (image * height + row) * width * channels + channel
        best = tl.full((COLUMNS, CHANNELS), float("-inf"), tl.float32)
        for across in tl.static_range(KERNEL):
            column = out_column * STRIDE + (across - PADDING)
            inside = there & (column >= 0) & (column < width)
            value = tl.load(line + column * channels, inside, other=float("-inf"))
            best = tl.maximum(best, value.to(tl.float32), propagate_nan=_KEEPS_NAN)
        maxima += (best,)
    for i in tl.static_range(ROWS):
        best = maxima[i * STRIDE]
        for down in tl.static_range(1, KERNEL):
            best = tl.maximum(best, maxima[i * STRIDE + down], propagate_nan=_KEEPS_NAN)
        out_row = first + i
        line = out + (image * out_height + out_row) * out_width * channels + channel
        wanted = known & (out_column < out_width) & (out_row < out_height)
        tl.store(line + out_column * channels, best.to(out.dtype.element_ty), wanted)
