"""NASNet-Mobile: the encoder whose two kinds of cell were found by a search."""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_STEM_CHANNELS = 32
_KERNELS = {"separable_3x3": 3, "separable_5x5": 5, "separable_7x7": 7}


class _Design(NamedTuple):
    """A kind of cell. State 0 is the cell's input, 1 the cell before's, 2 to 6 the sums so far."""

    stride: int
    sums: tuple[tuple[tuple[str, int], tuple[str, int]], ...]  # two times (operation, state)
    outputs: tuple[int, ...]  # the states that are concatenated


# Figure 4 and appendix A.4 of the paper.
_NORMAL = _Design(
    stride=1,
    sums=(
        (("separable_5x5", 0), ("separable_3x3", 1)),
        (("separable_5x5", 1), ("separable_3x3", 1)),
        (("average", 0), ("identity", 1)),
        (("average", 1), ("average", 1)),
        (("separable_3x3", 0), ("identity", 0)),
    ),
    outputs=(1, 2, 3, 4, 5, 6),
)
_REDUCTION = _Design(
    stride=2,
    sums=(
        (("separable_5x5", 0), ("separable_7x7", 1)),
        (("max", 0), ("separable_7x7", 1)),
        (("average", 0), ("separable_5x5", 1)),
        (("average", 2), ("identity", 3)),
        (("separable_3x3", 2), ("max", 0)),
    ),
    outputs=(3, 4, 5, 6),
)
# Published name, design, filters, and how the input of the cell before is brought to the cell's
# shape: "halve" follows a reduction.
_CELLS = (
    ("cell_stem_0", _REDUCTION, 11, "keep"),
    ("cell_stem_1", _REDUCTION, 22, "halve"),
    ("cell_0", _NORMAL, 44, "halve"),
    ("cell_1", _NORMAL, 44, "squeeze"),
    ("cell_2", _NORMAL, 44, "squeeze"),
    ("cell_3", _NORMAL, 44, "squeeze"),
    ("reduction_cell_0", _REDUCTION, 88, "squeeze"),
    ("cell_6", _NORMAL, 88, "halve"),
    ("cell_7", _NORMAL, 88, "squeeze"),
    ("cell_8", _NORMAL, 88, "squeeze"),
    ("cell_9", _NORMAL, 88, "squeeze"),
    ("reduction_cell_1", _REDUCTION, 176, "squeeze"),
    ("cell_12", _NORMAL, 176, "halve"),
    ("cell_13", _NORMAL, 176, "squeeze"),
    ("cell_14", _NORMAL, 176, "squeeze"),
    ("cell_15", _NORMAL, 176, "squeeze"),
)
_TAPS = ("cell_stem_0", "cell_3", "cell_9", "cell_15")


class NASNetMobileEncoder(nn.Module):
    """NASNet-A (4 @ 1056) (Zoph et al., CVPR 2018) up to its last cell."""

    channels = (44, 264, 528, 1056)
    """Channels of each feature that `forward` returns."""
    strides = (4, 8, 16, 32)
    """Stride of each feature that `forward` returns."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, _STEM_CHANNELS, kernel_size=3, stride=2, bias=False),
                norm=_norm(_STEM_CHANNELS),
            )
        )
        self.cells = nn.ModuleDict()
        in_channels = previous_channels = _STEM_CHANNELS
        for name, design, filters, adapt in _CELLS:
            self.cells[name] = Cell(in_channels, previous_channels, filters, design, adapt)
            previous_channels, in_channels = in_channels, filters * len(design.outputs)

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Return the outputs of `cell_stem_0`, `cell_3`, `cell_9` and `cell_15`, finest first.

        Args:
            images_BCHW: Images normalised with mean 0.5 and std 0.5, shape (B, 3, H, W).

        Returns:
            Four tensors (B, channels[i], H / strides[i], W / strides[i]).

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        height, width = images_BCHW.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(
                f"image is {height} x {width} pixels; NASNet-Mobile's cells need multiples of 32: "
                "pad it right and bottom"
            )
        previous = x = self.stem(images_BCHW)
        features = []
        for name, cell in self.cells.items():
            previous, x = x, cell(x, previous)
            if name in _TAPS:
                features.append(x)
        return features


class Cell(nn.Module):
    """Five sums of two operations each on the outputs of the two cells before (section 3).

    Args:
        in_channels: Channels of the cell's input.
        previous_channels: Channels of the input of the cell before.
        filters: Channels of every sum.
        design: Which operations, on what.
        adapt: How the input of the cell before is brought to shape: "keep", "squeeze" or "halve".
    """

    def __init__(
        self, in_channels: int, previous_channels: int, filters: int, design: _Design, adapt: str
    ) -> None:
        super().__init__()
        self.design = design
        self.squeeze = ActivationConvNorm(in_channels, filters)
        self.previous: nn.Module = nn.Identity()
        if adapt == "squeeze":
            self.previous = ActivationConvNorm(previous_channels, filters)
        elif adapt == "halve":
            self.previous = FactorizedReduction(previous_channels, filters)
        self.left, self.right = nn.ModuleList(), nn.ModuleList()
        for operations in design.sums:
            for side, (operation, state) in zip((self.left, self.right), operations, strict=True):
                channels = previous_channels if adapt == "keep" and state == 1 else filters
                stride = design.stride if state < 2 else 1
                side.append(_operation(operation, channels, filters, stride))

    def forward(self, x_BCHW: Tensor, previous_BCHW: Tensor) -> Tensor:
        """Return the sums, concatenated, at the input's size divided by the design's stride."""
        states = [self.squeeze(x_BCHW), self.previous(previous_BCHW)]
        sides = zip(self.left, self.right, self.design.sums, strict=True)
        for left, right, ((_, left_state), (_, right_state)) in sides:
            states.append(left(states[left_state]) + right(states[right_state]))
        return torch.cat([states[state] for state in self.design.outputs], dim=1)


class ActivationConvNorm(nn.Sequential):
    """ReLU, 1x1 convolution without bias, batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        conv, norm = _conv1x1(in_channels, out_channels), _norm(out_channels)
        super().__init__(OrderedDict(activation=nn.ReLU(), conv=conv, norm=norm))


class FactorizedReduction(nn.Module):
    """Halve the size: half of the channels see the even pixels, half the odd ones."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.even = _conv1x1(in_channels, out_channels // 2)
        self.odd = _conv1x1(in_channels, out_channels // 2)
        self.norm = _norm(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return features (B, out_channels, ceil(H / 2), ceil(W / 2))."""
        x_BCHW = functional.relu(x_BCHW)
        even_BCHW = x_BCHW[..., ::2, ::2]
        odd_BCHW = functional.pad(x_BCHW, (0, 1, 0, 1))[..., 1::2, 1::2]  # as many as even ones
        out: Tensor = self.norm(torch.cat([self.even(even_BCHW), self.odd(odd_BCHW)], dim=1))
        return out


class SeparableConvNorm(nn.Module):
    """ReLU, depthwise and pointwise convolution without bias, batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0  # at stride 2, `forward` pads
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel, stride, padding, groups=in_channels, bias=False
        )
        self.pointwise = _conv1x1(in_channels, out_channels)
        self.norm = _norm(out_channels)
        self.kernel, self.stride = kernel, stride

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return features (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        x_BCHW = functional.relu(x_BCHW)
        if self.stride == 2:
            top, left = _padding_before(x_BCHW, self.kernel, self.stride)
            x_BCHW = functional.pad(x_BCHW, (left, self.kernel // 2, top, self.kernel // 2))
        out: Tensor = self.norm(self.pointwise(self.depthwise(x_BCHW)))
        return out


class Pooling(nn.Module):
    """Maximum or average of the 3x3 pixels, of which padding is none."""

    def __init__(self, kind: str, stride: int) -> None:
        super().__init__()
        self.kind, self.stride = kind, stride

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return features (B, C, ceil(H / stride), ceil(W / stride))."""
        padding = _padding_before(x_BCHW, 3, self.stride)  # ceil_mode adds what is due after
        if self.kind == "max":
            return functional.max_pool2d(x_BCHW, 3, self.stride, padding, ceil_mode=True)
        return functional.avg_pool2d(
            x_BCHW, 3, self.stride, padding, ceil_mode=True, count_include_pad=False
        )


def published_modules() -> dict[str, str]:
    """Return published module name → our name in the encoder, for each module with parameters."""
    modules = {"conv0.conv": "stem.conv", "conv0.bn": "stem.norm"}
    for cell, design, _, adapt in _CELLS:
        names = {"conv_1x1.conv": "squeeze.conv", "conv_1x1.bn": "squeeze.norm"}
        names |= _PREVIOUS_NAMES[adapt]
        for index, operations in enumerate(design.sums):
            for side, (operation, _) in zip(("left", "right"), operations, strict=True):
                if operation in _KERNELS:
                    for published, ours in _SEPARABLE_NAMES.items():
                        names[f"comb_iter_{index}_{side}.{published}"] = f"{side}.{index}.{ours}"
        for published, ours in names.items():
            modules[f"{cell}.{published}"] = f"cells.{cell}.{ours}"
    return modules


_PREVIOUS_NAMES: dict[str, dict[str, str]] = {
    "keep": {},
    "squeeze": {"conv_prev_1x1.conv": "previous.conv", "conv_prev_1x1.bn": "previous.norm"},
    "halve": {
        "path_1.conv": "previous.even",
        "path_2.conv": "previous.odd",
        "final_path_bn": "previous.norm",
    },
}
_SEPARABLE_NAMES = {
    "separable_1.depthwise_conv2d": "0.depthwise",
    "separable_1.pointwise_conv2d": "0.pointwise",
    "bn_sep_1": "0.norm",
    "separable_2.depthwise_conv2d": "1.depthwise",
    "separable_2.pointwise_conv2d": "1.pointwise",
    "bn_sep_2": "1.norm",
}


def _operation(name: str, in_channels: int, filters: int, stride: int) -> nn.Module:
    if name not in _KERNELS:
        return nn.Identity() if name == "identity" else Pooling(name, stride)
    return nn.Sequential(
        SeparableConvNorm(in_channels, filters, _KERNELS[name], stride),
        SeparableConvNorm(filters, filters, _KERNELS[name], 1),
    )


def _conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=0.001)


def _padding_before(x_BCHW: Tensor, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding above and to the left; that below and to the right is `kernel // 2`.

    The published weights come from TensorFlow, whose "same" padding of an even size is one smaller
    before than after at stride 2.
    """
    height, width = x_BCHW.shape[-2:]
    half = kernel // 2
    return half - (stride == 2 and height % 2 == 0), half - (stride == 2 and width % 2 == 0)
