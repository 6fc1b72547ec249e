"""The precisions of a network's arithmetic."""

from typing import Final, Literal

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_PRECISIONS: Final = ("float32", "bfloat16", "float16")


def resolve_precision(
    precision: Precision, device: str
) -> Literal["float32", "bfloat16", "float16"]:
    """Return the precision that "auto" stands for: bfloat16 on a GPU that has it, else float32.

    Args:
        precision: What is asked for.
        device: Where to predict, for example "cpu" or "cuda:0".

    Raises:
        ValueError: The precision is unknown.
    """
    if precision == "auto":
        return "bfloat16" if device.startswith("cuda") and _gpu_has_bfloat16() else "float32"
    if precision not in _PRECISIONS:
        raise ValueError(f"precision is {precision!r}; choose auto, {', '.join(_PRECISIONS)}")
    return precision


def _gpu_has_bfloat16() -> bool:
    import torch  # noqa: PLC0415 - a CPU is not asked

    return bool(torch.cuda.is_bf16_supported())
