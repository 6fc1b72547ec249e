"""Bilinear enlargement together with the sum and the activation that follow it."""

from typing import Final, no_type_check

import triton
from torch import Tensor
from triton import language as tl

from refinenet_core.gpu.activations import Activation, activated
from refinenet_core.gpu.channels_last import channels_last, empty_map

_COLUMNS: Final = 16  # of a program
_CHANNELS: Final = 64


def add_upsampled(
    fine_BCHW: Tensor, coarse_BCHW: Tensor, *, align_corners: bool, activation: Activation = "none"
) -> Tensor:
    """Enlarge a map to another's size, add that and apply an activation; rounded once.

    Args:
        fine_BCHW: The map that is added, float32, bfloat16 or float16.
        coarse_BCHW: The map that is enlarged, of the same dtype and number of channels.
        align_corners: As in `torch.nn.functional.interpolate`.
        activation: Of the sum.

    Returns:
        A map of the fine one's shape and dtype, channels last.
    """
    fine_BCHW, coarse_BCHW = channels_last(fine_BCHW), channels_last(coarse_BCHW)
    images, channels, height, width = fine_BCHW.shape
    coarse_height, coarse_width = coarse_BCHW.shape[2:]
    out_BCHW = empty_map(fine_BCHW, channels, height, width)
    grid = (images * height, triton.cdiv(width, _COLUMNS), triton.cdiv(channels, _CHANNELS))
    add_upsampled_kernel[grid](
        fine_BCHW,
        coarse_BCHW,
        out_BCHW,
        height,
        width,
        coarse_height,
        coarse_width,
        channels,
        _step(coarse_height, height, align_corners=align_corners),
        _step(coarse_width, width, align_corners=align_corners),
        ALIGN_CORNERS=align_corners,
        ACTIVATION=activation,
        COLUMNS=_COLUMNS,
        CHANNELS=_CHANNELS,
        num_warps=4,
    )
    return out_BCHW


def _step(coarse: int, fine: int, *, align_corners: bool) -> float:
    """Return how far neighbouring pixels of the fine map are apart in the coarse one."""
    if align_corners:
        return (coarse - 1) / (fine - 1) if fine > 1 else 0.0
    return coarse / fine


@triton.jit
@no_type_check  # it is Triton's language, not Python
def _source(place: tl.tensor, step: tl.tensor, ALIGN_CORNERS: tl.constexpr) -> tl.tensor:
    if ALIGN_CORNERS:
        return place.to(tl.float32) * step
    return tl.maximum((place.to(tl.float32) + 0.5) * step - 0.5, 0.0)


@triton.jit(
    do_not_specialize=["height", "width", "coarse_height", "coarse_width", "down", "across"]
)
@no_type_check
def add_upsampled_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    fine: tl.tensor,
    coarse: tl.tensor,
    out: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    coarse_height: tl.tensor,
    coarse_width: tl.tensor,
    channels: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    ALIGN_CORNERS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Compute some columns of one row, of some channels.

    Args:
        fine: Pointer to (B, H, W, C).
        coarse: Pointer to (B, h, w, C).
        out: Pointer to (B, H, W, C), written.
        height: H.
        width: W.
        coarse_height: h.
        coarse_width: w.
        channels: C.
        down: Rows of the coarse map between two rows of the fine one.
        across: Columns, likewise.
        ALIGN_CORNERS: Whether the corner pixels' centres coincide.
        ACTIVATION: Of the result.
        COLUMNS: Columns of a program.
        CHANNELS: Channels of a program.
    """
    image = (tl.program_id(0) // height).to(tl.int64)
    row = tl.program_id(0) % height
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    inside = (column < width) & (channel < channels)
    y = _source(row, down, ALIGN_CORNERS)
    x = _source(column, across, ALIGN_CORNERS)
    top = tl.minimum(y.to(tl.int32), coarse_height - 1)
    left = tl.minimum(x.to(tl.int32), coarse_width - 1)
    bottom = tl.minimum(top + 1, coarse_height - 1)
    right = tl.minimum(left + 1, coarse_width - 1)
    lower = y - top
    righter = x - left
    upper_line = coarse + (image * coarse_height + top) * coarse_width * channels + channel
    lower_line = coarse + (image * coarse_height + bottom) * coarse_width * channels + channel
    upper_left = tl.load(upper_line + left * channels, inside, other=0.0).to(tl.float32)
    upper_right = tl.load(upper_line + right * channels, inside, other=0.0).to(tl.float32)
    lower_left = tl.load(lower_line + left * channels, inside, other=0.0).to(tl.float32)
    lower_right = tl.load(lower_line + right * channels, inside, other=0.0).to(tl.float32)
    upper_mix = upper_left * (1 - righter) + upper_right * righter
    lower_mix = lower_left * (1 - righter) + lower_right * righter
    enlarged = upper_mix * (1 - lower) + lower_mix * lower
    place = ((image * height + row) * width + column) * channels + channel
    total = tl.load(fine + place, inside, other=0.0).to(tl.float32) + enlarged
    tl.store(out + place, activated(total, ACTIVATION).to(out.dtype.element_ty), inside)
