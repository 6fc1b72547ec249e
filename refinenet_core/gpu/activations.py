"""The activations of our networks, as other kernels apply them to what they load or store."""

from typing import Final, Literal, no_type_check

import triton
from triton import language as tl

Activation = Literal["none", "relu", "relu6"]

_KEEPS_NAN: Final = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
@no_type_check  # it is Triton's language, not Python
def activated(x: tl.tensor, ACTIVATION: tl.constexpr) -> tl.tensor:
    """Return x, float32, after "relu" or "relu6", or as it is after "none".

    What is not a number stays so, as in PyTorch: an overflow that became 0 would give a label that
    nobody doubts.
    """
    if ACTIVATION != "none":
        x = tl.maximum(x, 0.0, propagate_nan=_KEEPS_NAN)
    if ACTIVATION == "relu6":
        x = tl.minimum(x, 6.0, propagate_nan=_KEEPS_NAN)
    return x
