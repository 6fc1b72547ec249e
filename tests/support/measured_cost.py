"""What a network costs, measured by PyTorch: what the product's table is held against."""

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from refinenet_core import ModelCost, build_model, list_models
from refinenet_core.networks.costs import GRIDS, Operations

_SIZES = ((97, 131), (200, 333), (375, 500), (64, 1021))  # tell the grids apart


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


def measured_operations(name: str) -> dict[str, Operations]:
    """Return what `refinenet_core.networks.costs` says of a network, by grid, measured."""
    operations = {}
    counted = {
        key: _by_grid(name, num_classes=num_classes, poolings=poolings)
        for key, num_classes, poolings in (("plain", 1, 1), ("classes", 2, 1), ("poolings", 1, 2))
    }
    for grid in counted["plain"]:
        plain, classes, poolings = (counted[key][grid] for key in counted)
        a_class, a_pooling = classes - plain, poolings - plain
        operations[grid] = Operations(plain - a_class - a_pooling, a_class, a_pooling)
    return operations


def _by_grid(name: str, *, num_classes: int, poolings: int) -> dict[str, int]:
    """Return the operations of convolutions for a pixel of each grid that they write."""
    model = build_model(name, num_classes, poolings=poolings, device="meta").eval()
    convolutions = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    written: dict[str, list[tuple[int, int]]] = {each: [] for each in convolutions}
    for each, module in convolutions.items():
        module.register_forward_hook(
            lambda _m, _i, out, each=each: written[each].append(tuple(out.shape[2:]))
        )
    for size in _SIZES:
        with torch.no_grad():
            model(torch.empty(1, 3, *size, device="meta"))
    found: Counter[str] = Counter()
    for each, module in convolutions.items():
        [grid] = [
            grid
            for grid, side in GRIDS.items()
            if [tuple(map(side, size)) for size in _SIZES] == written[each]
        ][:1]
        found[grid] += 2 * module.weight[0].numel() * module.out_channels
    return dict(found)


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


if __name__ == "__main__":
    for each in list_models():
        print(f'    "{each}": {measured_operations(each)},')  # noqa: T201
