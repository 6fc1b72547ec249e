"""Convolutions of a network on a GPU, which do what follows them in as few passes as pay.

Each is made from a `torch.nn.Conv2d` in its final dtype, and is called with what is to follow: a
map that is added and an activation. Which of them computes a convolution depends on its weights
and dtype alone, never on sizes or on how often one was seen: equal images give equal bytes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from refinenet_core.gpu.activations import Activation
from refinenet_core.gpu.channels_last import channels_last
from refinenet_core.gpu.convolution import convolve
from refinenet_core.gpu.depthwise import depthwise_conv
from refinenet_core.gpu.sums import add_maps


class PointwiseConv(nn.Module):
    """A 1x1 convolution: a product of two matrices, which needs no plan for a size.

    In 16 bits, what follows is done by a product of our own; the library's is faster alone, and
    then in any precision.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride = conv.stride[0]
        self.register_buffer("weight", conv.weight.flatten(1).t().contiguous())  # (in, out)
        self.register_buffer("bias", _bias(conv))
        self.in_half = conv.weight.dtype != torch.float32

    def forward(
        self,
        x_BCHW: Tensor,
        *,
        added_BCHW: Tensor | None = None,
        activation: Activation = "none",
    ) -> Tensor:
        """Convolve, add, activate."""
        alone = added_BCHW is None and activation == "none"
        if self.in_half and not alone:
            return convolve(
                x_BCHW,
                self.weight[None, None],
                self.bias,
                stride=self.stride,
                added_BCHW=added_BCHW,
                activation=activation,
            )
        if self.stride > 1:
            x_BCHW = x_BCHW[:, :, :: self.stride, :: self.stride]
        x_BHWC = channels_last(x_BCHW).permute(0, 2, 3, 1)
        out_BCHW = functional.linear(x_BHWC, self.weight.t(), self.bias).permute(0, 3, 1, 2)
        return out_BCHW if alone else _finished(out_BCHW, None, added_BCHW, activation)


class WindowConv(nn.Module):
    """A convolution of larger windows in 16 bits that needs no plan for a size."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])
        self.register_buffer("weight", conv.weight.permute(2, 3, 1, 0).contiguous())  # KKIO
        self.register_buffer("bias", _bias(conv))

    def forward(
        self,
        x_BCHW: Tensor,
        *,
        added_BCHW: Tensor | None = None,
        activation: Activation = "none",
    ) -> Tensor:
        """Convolve, add, activate."""
        return convolve(
            x_BCHW,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            added_BCHW=added_BCHW,
            activation=activation,
        )


class PlannedConv(nn.Module):
    """A convolution by cuDNN, which makes a plan for each new size in some milliseconds.

    For wide maps it is 1.4 times as fast as ours, and it is the one that has float32.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])
        weight = conv.weight.contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", _bias(conv))
        self.biased = conv.bias is not None
        self.in_half = conv.weight.dtype != torch.float32

    def forward(
        self,
        x_BCHW: Tensor,
        *,
        added_BCHW: Tensor | None = None,
        activation: Activation = "none",
    ) -> Tensor:
        """Convolve, add, activate."""
        x_BCHW = channels_last(x_BCHW)
        if self.in_half and x_BCHW.is_cuda and added_BCHW is None and activation == "relu":
            return torch.cudnn_convolution_relu(
                x_BCHW,
                self.weight,
                self.bias,
                stride=(self.stride, self.stride),
                padding=(self.padding, self.padding),
                dilation=(1, 1),
                groups=1,
            )
        out_BCHW = functional.conv2d(x_BCHW, self.weight, stride=self.stride, padding=self.padding)
        bias = self.bias if self.biased else None
        return _finished(out_BCHW, bias, added_BCHW, activation)


class DepthwiseConv(nn.Module):
    """A convolution of each channel by itself; never by cuDNN, whose plans for it take seconds."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])
        self.register_buffer("weight", conv.weight[:, 0].permute(1, 2, 0).contiguous())
        self.register_buffer("bias", _bias(conv))

    def forward(
        self, x_BCHW: Tensor, *, before: Activation = "none", activation: Activation = "none"
    ) -> Tensor:
        """Activate, convolve, activate."""
        return depthwise_conv(
            x_BCHW,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            before=before,
            after=activation,
        )


def convolution_layer(conv: nn.Module, *, wide: bool = False) -> nn.Module:
    """Return what computes a convolution on a GPU.

    Args:
        conv: A convolution with a square window and without dilation; its channels are one group
            or each a group.
        wide: Whether its maps are large and of many channels.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(conv, nn.Conv2d):
        raise TypeError(f"a {type(conv).__name__} is no torch.nn.Conv2d")
    if conv.groups > 1:
        return DepthwiseConv(conv)
    if conv.kernel_size == (1, 1):
        return PointwiseConv(conv)
    planned = wide or conv.weight.dtype == torch.float32
    return PlannedConv(conv) if planned else WindowConv(conv)


def _finished(
    out_BCHW: Tensor, bias_O: Tensor | None, added_BCHW: Tensor | None, activation: Activation
) -> Tensor:
    """Do what follows a convolution in one pass; in none if there is nothing."""
    if bias_O is None and added_BCHW is None and activation == "none":
        return out_BCHW
    maps = [out_BCHW] if added_BCHW is None else [out_BCHW, added_BCHW]
    return add_maps(maps, bias_C=bias_O, activation=activation)


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is not None:
        return conv.bias.detach()
    return torch.zeros(conv.out_channels, dtype=conv.weight.dtype, device=conv.weight.device)
