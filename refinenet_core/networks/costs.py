"""What a network costs: parameters, operations and memory, from a table, without PyTorch.

Each convolution writes a grid of pixels, whose size follows from the image's; for a pixel of a grid
a network's convolutions take a number of operations that does not depend on sizes. The table is
what `tests/support/measured_cost.py` measures, and a test keeps it so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


def _every(stride: int, scale: float = 1.0) -> Callable[[int], int]:
    """Return what makes of an image's side that of a grid, a pixel every `stride` pixels."""
    return lambda side: -(-max(1, int(scale * side)) // stride)


def _padded(stride: int, less: int = 0) -> Callable[[int], int]:
    """Likewise, of an image that is padded to multiples of 32."""
    return lambda side: -(-side // 32) * 32 // stride - less


GRIDS: Final[Mapping[str, Callable[[int], int]]] = {
    **{f"1/{stride}": _every(stride) for stride in (2, 4, 8, 16, 32)},
    **{f"1.2/{stride}": _every(stride, 1.2) for stride in (2, 4, 8, 16, 32)},
    **{f"0.6/{stride}": _every(stride, 0.6) for stride in (2, 4, 8, 16, 32)},
    "padded/2-1": _padded(2, 1),
    **{f"padded/{stride}": _padded(stride) for stride in (4, 8, 16, 32)},
}
"""By name, what makes of a side of an image the side of a grid."""


class Operations(NamedTuple):
    """Floating-point operations for a pixel of a grid, two for each multiply-add."""

    constant: int
    for_each_class: int
    for_each_pooling: int


@dataclass(frozen=True)
class ModelCost:
    """What a network costs for one image.

    Attributes:
        name: The network's name.
        encoder: Name of its encoder's class.
        parameters: Learnt values.
        flops: Floating-point operations of a forward pass, two for each multiply-add.
        activation_bytes: Most that the tensors of a forward pass take at once in float32, the
            input among them, the weights not; to within 3 %.
        stride: Pixels of the image for each of the logits, along a side.
    """

    name: str
    encoder: str
    parameters: int
    flops: int
    activation_bytes: int
    stride: int


class _Network(NamedTuple):
    encoder: str
    parameters: int  # but for these:
    for_each_class: int
    for_each_pooling: int
    activation_bytes: float  # for each pixel of an image
    operations: Mapping[str, Operations]  # by grid


def list_models() -> list[str]:
    """Return the names that `build_model` knows, sorted."""
    return sorted(_NETWORKS)


def model_cost(
    name: str, height: int, width: int, num_classes: int = 21, *, poolings: int = 4
) -> ModelCost:
    """Say what a network costs.

    Args:
        name: One of `list_models()`.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        num_classes: Number of classes, C.
        poolings: As `build_model` takes it.

    Raises:
        ValueError: The name is unknown, or a number is out of range.
    """
    if name not in _NETWORKS:
        raise ValueError(f"unknown model {name!r}; known are: {', '.join(list_models())}")
    if height < 1 or width < 1:
        raise ValueError(f"size is {width}x{height}; both sides must be at least 1")
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes is {num_classes}; it must lie between 1 and 255")
    network = _NETWORKS[name]
    flops = 0
    for grid, operations in network.operations.items():
        side = GRIDS[grid]
        constant, for_each_class, for_each_pooling = operations
        each = constant + for_each_class * num_classes + for_each_pooling * poolings
        flops += side(height) * side(width) * each
    multiple = 32 if "padded/4" in network.operations else 4
    pixels = -(-height // multiple) * -(-width // multiple) * multiple**2
    return ModelCost(
        name=name,
        encoder=network.encoder,
        parameters=network.parameters
        + network.for_each_class * num_classes
        + network.for_each_pooling * poolings,
        flops=flops,
        activation_bytes=round(network.activation_bytes * pixels),
        stride=4,
    )


_NETWORKS: Final[Mapping[str, _Network]] = {
    "refinenet101": _Network(
        "ResNet",
        101_488_960,
        2_305,
        4_128_768,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(14_647_296, 4_608, 1_179_648),
            "1/8": Operations(19_136_512, 0, 1_179_648),
            "1/16": Operations(71_696_384, 0, 1_179_648),
            "1/32": Operations(97_255_424, 0, 4_718_592),
        },
    ),
    "refinenet101_2cascade": _Network(
        "ResNet",
        83_202_112,
        2_305,
        1_179_648,
        600.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(14_647_296, 4_608, 1_179_648),
            "1/8": Operations(10_878_976, 0, 0),
            "1/16": Operations(71_696_384, 0, 1_179_648),
            "1/32": Operations(68_943_872, 0, 0),
        },
    ),
    "refinenet101_2scale": _Network(
        "TwoScale",
        163_454_592,
        2_305,
        2_359_296,
        903.3,
        {
            "1.2/2": Operations(18_816, 0, 0),
            "1.2/4": Operations(14_647_296, 4_608, 1_179_648),
            "1.2/8": Operations(19_136_512, 0, 1_179_648),
            "1.2/16": Operations(82_575_360, 0, 1_179_648),
            "1.2/32": Operations(140_640_256, 0, 1_179_648),
            "0.6/2": Operations(18_816, 0, 0),
            "0.6/4": Operations(491_520, 0, 0),
            "0.6/32": Operations(68_943_872, 0, 0),
        },
    ),
    "refinenet101_single": _Network(
        "ResNet",
        79_072_576,
        2_305,
        589_824,
        602.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(14_647_296, 4_608, 1_179_648),
            "1/8": Operations(10_878_976, 0, 0),
            "1/16": Operations(63_438_848, 0, 0),
            "1/32": Operations(68_943_872, 0, 0),
        },
    ),
    "refinenet152": _Network(
        "ResNet",
        117_132_608,
        2_305,
        4_128_768,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(14_647_296, 4_608, 1_179_648),
            "1/8": Operations(21_364_736, 0, 1_179_648),
            "1/16": Operations(100_663_296, 0, 1_179_648),
            "1/32": Operations(97_255_424, 0, 4_718_592),
        },
    ),
    "refinenet50": _Network(
        "ResNet",
        82_496_832,
        2_305,
        4_128_768,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(14_647_296, 4_608, 1_179_648),
            "1/8": Operations(19_136_512, 0, 1_179_648),
            "1/16": Operations(33_816_576, 0, 1_179_648),
            "1/32": Operations(97_255_424, 0, 4_718_592),
        },
    ),
    "refinenet_lw101": _Network(
        "ResNet",
        44_466_240,
        2_305,
        458_752,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(753_664, 4_608, 131_072),
            "1/8": Operations(3_145_728, 0, 131_072),
            "1/16": Operations(53_608_448, 0, 131_072),
            "1/32": Operations(31_195_136, 0, 524_288),
        },
    ),
    "refinenet_lw152": _Network(
        "ResNet",
        60_109_888,
        2_305,
        458_752,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(753_664, 4_608, 131_072),
            "1/8": Operations(5_373_952, 0, 131_072),
            "1/16": Operations(82_575_360, 0, 131_072),
            "1/32": Operations(31_195_136, 0, 524_288),
        },
    ),
    "refinenet_lw50": _Network(
        "ResNet",
        25_474_112,
        2_305,
        458_752,
        596.0,
        {
            "1/2": Operations(18_816, 0, 0),
            "1/4": Operations(753_664, 4_608, 131_072),
            "1/8": Operations(3_145_728, 0, 131_072),
            "1/16": Operations(15_728_640, 0, 131_072),
            "1/32": Operations(31_195_136, 0, 524_288),
        },
    ),
    "refinenet_lw_mobilenet_v2": _Network(
        "MobileNetV2",
        2_187_584,
        2_305,
        262_144,
        488.4,
        {
            "1/2": Operations(8_448, 0, 0),
            "1/4": Operations(41_952, 4_608, 131_072),
            "1/8": Operations(227_616, 0, 131_072),
            "1/16": Operations(1_260_160, 0, 131_072),
            "1/32": Operations(2_773_760, 0, 131_072),
        },
    ),
    "refinenet_lw_nasnet_mobile": _Network(
        "NASNetMobile",
        5_110_546,
        2_305,
        262_144,
        527.9,
        {
            "1/32": Operations(6_636_736, 0, 131_072),
            "padded/2-1": Operations(2_432, 0, 0),
            "padded/4": Operations(172_824, 4_608, 131_072),
            "padded/8": Operations(858_344, 0, 131_072),
            "padded/16": Operations(2_477_280, 0, 131_072),
        },
    ),
    "refinenet_multitask_mobilenet_v2": _Network(
        "MobileNetV2",
        2_187_840,
        2_305,
        196_864,
        488.4,
        {
            "1/2": Operations(8_448, 0, 0),
            "1/4": Operations(42_464, 4_608, 512),
            "1/8": Operations(227_616, 0, 131_072),
            "1/16": Operations(1_260_160, 0, 131_072),
            "1/32": Operations(2_773_760, 0, 131_072),
        },
    ),
}
