"""What a network costs: parameters, operations and memory, without running it."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from refinenet_core.networks.models import build_model


@dataclass(frozen=True)
class ModelCost:
    """What a network costs for one image.

    Attributes:
        name: The network's name.
        encoder: Name of its encoder's class.
        parameters: Learnt values.
        flops: Floating-point operations of a forward pass, two for each multiply-add.
        activation_bytes: Most that the tensors of a forward pass take at once in float32, the
            input among them, the weights not.
        stride: Pixels of the image for each of the logits, along a side.
    """

    name: str
    encoder: str
    parameters: int
    flops: int
    activation_bytes: int
    stride: int


def measure_cost(
    name: str,
    height: int,
    width: int,
    num_classes: int = 21,
    *,
    poolings: int = 4,
    improved_pooling: bool = False,
) -> ModelCost:
    """Measure a network on PyTorch's "meta" device, which computes shapes alone.

    Args:
        name: One of `list_models()`.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        num_classes: Number of classes, C.
        poolings: As `build_model` takes it.
        improved_pooling: Likewise.

    Raises:
        ValueError: The name is unknown, or a number is out of range.
    """
    if height < 1 or width < 1:
        raise ValueError(f"size is {width}x{height}; both sides must be at least 1")
    model = build_model(
        name, num_classes, poolings=poolings, improved_pooling=improved_pooling, device="meta"
    ).eval()
    image_BCHW = torch.empty(1, 3, height, width, device="meta")
    memory = _PeakMemory(image_BCHW)
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(image_BCHW)
    with torch.no_grad(), memory:
        model(image_BCHW)
    return ModelCost(
        name=name,
        encoder=type(model.encoder).__name__.removesuffix("Encoder"),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops=int(flops.get_total_flops()),
        activation_bytes=memory.peak_bytes,
        stride=4,
    )


class _PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the storages that operations make until nothing refers to them any more."""

    def __init__(self, image_BCHW: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = self.peak_bytes = 0
        self._seen: set[int] = set()
        self._follow(image_BCHW)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = {_key(x) for x in tree_leaves(args) if isinstance(x, Tensor)}
        for output in tree_leaves(result):
            if isinstance(output, Tensor) and _key(output) not in inputs:
                self._follow(output)
        return result

    def _follow(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._seen:
            return
        size_bytes = storage.nbytes()
        self._seen.add(key)
        self.live_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(tensor, self._forget, key, size_bytes)

    def _forget(self, key: int, size_bytes: int) -> None:
        self._seen.discard(key)
        self.live_bytes -= size_bytes


def _key(tensor: Tensor) -> int:
    """Return what tells storages apart; views share one."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - the only identity it has
