"""Sums of maps, a bias and an activation in one pass."""

from collections.abc import Sequence
from typing import Final, no_type_check

import torch
import triton
from torch import Tensor
from triton import language as tl

from refinenet_core.gpu.activations import Activation, activated
from refinenet_core.gpu.channels_last import channels_last

_BLOCK: Final = 1024  # values of a program


def add_maps(
    maps: Sequence[Tensor], *, bias_C: Tensor | None = None, activation: Activation = "none"
) -> Tensor:
    """Add maps of one shape and apply an activation; rounded once.

    Args:
        maps: At least one map (B, C, H, W), float32, bfloat16 or float16.
        bias_C: Added to each channel.
        activation: Of the sum.

    Returns:
        A map of the same shape and dtype, channels last.
    """
    maps = [channels_last(each) for each in maps]
    out_BCHW = torch.empty_like(maps[0])
    count = out_BCHW.numel()
    add_kernel[(triton.cdiv(count, _BLOCK),)](
        tuple(maps),
        out_BCHW if bias_C is None else bias_C,
        out_BCHW,
        count,
        out_BCHW.shape[1],
        NUM_MAPS=len(maps),
        BIASED=bias_C is not None,
        ACTIVATION=activation,
        BLOCK=_BLOCK,
        num_warps=4,
    )
    return out_BCHW


@triton.jit
@no_type_check  # it is Triton's language, not Python
def add_kernel(  # noqa: PLR0917 - Triton's arguments are positional
    maps: tl.tuple,
    bias: tl.tensor,
    out: tl.tensor,
    count: tl.tensor,
    channels: tl.tensor,
    NUM_MAPS: tl.constexpr,
    BIASED: tl.constexpr,
    ACTIVATION: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Add one block of values.

    Args:
        maps: A pointer per map, to `count` values, channels last.
        bias: Pointer to (C), read with `BIASED`.
        out: Pointer to `count` values, written.
        count: Values of a map.
        channels: C.
        NUM_MAPS: Number of maps.
        BIASED: Whether there is a bias.
        ACTIVATION: Of the sum.
        BLOCK: Values of a program.
    """
    start = tl.program_id(0).to(tl.int64) * BLOCK
    place = start + tl.arange(0, BLOCK)
    inside = place < count
    total = tl.zeros((BLOCK,), tl.float32)
    if BIASED:
        channel = ((start % channels).to(tl.int32) + tl.arange(0, BLOCK)) % channels
        total += tl.load(bias + channel, inside, other=0.0).to(tl.float32)
    for i in tl.static_range(NUM_MAPS):
        total += tl.load(maps[i] + place, inside, other=0.0).to(tl.float32)
    tl.store(out + place, activated(total, ACTIVATION).to(out.dtype.element_ty), inside)
