"""A network of ours, made of the GPU's own kernels: the same sums, in fewer passes over memory."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from refinenet_core.gpu.activations import Activation
from refinenet_core.gpu.convolution_layers import DepthwiseConv, convolution_layer
from refinenet_core.gpu.max_pooling import max_pool
from refinenet_core.gpu.sums import add_maps
from refinenet_core.gpu.upsampling import add_upsampled
from refinenet_core.networks.blocks import ChainedResidualPooling, RefineNetBlock, ResidualConvUnit
from refinenet_core.networks.encoders import (
    Bottleneck,
    ConvNormActivation,
    InvertedResidual,
    ResNetEncoder,
)


def fuse_network(network: nn.Module) -> None:
    """Replace, in a network, what has a form that is faster on a GPU.

    Args:
        network: One of ours, normalisations folded, in its final dtype and place; it is changed.
    """
    for name, child in list(network.named_children()):
        setattr(network, name, _fused(child))


class FusedConv(nn.Module):
    """A convolution and its activation."""

    def __init__(self, block: ConvNormActivation) -> None:
        super().__init__()
        self.conv = convolution_layer(block.conv)
        self.activation: Activation = "relu6" if hasattr(block, "activation") else "none"

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what `ConvNormActivation` does."""
        out: Tensor = self.conv(x_BCHW, activation=self.activation)
        return out


class FusedInvertedResidual(nn.Module):
    """The activation of the widest map is applied as it is read, and never written."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        self.expand = convolution_layer(block.expand.conv)
        self.depthwise = DepthwiseConv(block.depthwise.conv)
        self.project = convolution_layer(block.project.conv)
        self.residual = block.residual

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what `InvertedResidual` does."""
        hidden = self.depthwise(self.expand(x_BCHW), before="relu6", activation="relu6")
        out: Tensor = self.project(hidden, added_BCHW=x_BCHW if self.residual else None)
        return out


class FusedBottleneck(nn.Module):
    """Three convolutions, each with what follows it."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = convolution_layer(block.conv1)
        self.conv2 = convolution_layer(block.conv2)
        self.conv3 = convolution_layer(block.conv3)
        self.downsample = block.downsample and convolution_layer(block.downsample[0])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what `Bottleneck` does."""
        hidden = self.conv2(self.conv1(x_BCHW, activation="relu"), activation="relu")
        identity = self.downsample(x_BCHW) if self.downsample else x_BCHW
        out: Tensor = self.conv3(hidden, added_BCHW=identity, activation="relu")
        return out


class FusedResNetEncoder(nn.Module):
    """The first convolution takes its activation with it; pooling is our own."""

    def __init__(self, encoder: ResNetEncoder) -> None:
        super().__init__()
        self.conv1 = convolution_layer(encoder.conv1)
        self.layers = nn.ModuleList(
            _fused(layer)
            for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
        )

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Return what `ResNetEncoder` does."""
        x_BCHW = max_pool(self.conv1(images_BCHW, activation="relu"), 3, stride=2, padding=1)
        features = []
        for layer in self.layers:
            x_BCHW = layer(x_BCHW)
            features.append(x_BCHW)
        return features


class FusedResidualConvUnit(nn.Module):
    """Two wide convolutions; the sum with the input is one pass."""

    def __init__(self, unit: ResidualConvUnit) -> None:
        super().__init__()
        self.conv1 = convolution_layer(unit.conv1, wide=True)
        self.conv2 = convolution_layer(unit.conv2, wide=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what `ResidualConvUnit` does."""
        hidden = self.conv1(functional.relu(x_BCHW), activation="relu")
        out: Tensor = self.conv2(hidden, added_BCHW=x_BCHW)
        return out


class FusedChain(nn.Module):
    """All sums of a chain of poolings in one pass at its end."""

    def __init__(self, chain: ChainedResidualPooling) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convolution_layer(conv, wide=True) for conv in chain.convs)
        self.improved = chain.improved

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what `ChainedResidualPooling` does."""
        maps = [x_BCHW]
        for conv in self.convs:
            if self.improved:
                maps.append(_pool(conv(maps[-1])))
            else:
                maps.append(conv(_pool(maps[-1])))
        return add_maps(maps)


class FusedBlock(nn.Module):
    """A block whose paths are enlarged, summed and activated in one pass each."""

    def __init__(self, block: RefineNetBlock) -> None:
        super().__init__()
        self.reductions = nn.ModuleList(
            convolution_layer(conv, wide=True) for conv in block.reductions
        )
        self.adaptations = nn.ModuleList(map(_fused_units, block.adaptations))
        self.convs = nn.ModuleList(
            convolution_layer(conv, wide=True) if isinstance(conv, nn.Conv2d) else conv
            for conv in block.fusion.convs
        )
        self.align_corners = block.fusion.align_corners
        relu6 = isinstance(block.activation, nn.ReLU6)
        self.activation: Activation = "relu6" if relu6 else "relu"
        self.pooling = FusedChain(block.pooling)
        self.output = _fused_units(block.output)

    def forward(self, features: Sequence[Tensor], coarse_BCHW: Tensor | None) -> Tensor:
        """Return what `RefineNetBlock` does."""
        paths = [
            adapt(reduce(feature))
            for reduce, adapt, feature in zip(
                self.reductions, self.adaptations, features, strict=True
            )
        ]
        if coarse_BCHW is not None:
            paths.append(coarse_BCHW)
        adapted = [conv(path) for conv, path in zip(self.convs, paths, strict=True)]
        out: Tensor = self.output(self.pooling(self._summed(adapted)))
        return out

    def _summed(self, paths: Sequence[Tensor]) -> Tensor:
        """Enlarge all paths to the first one's size, sum and activate."""
        total_BCHW, *others = paths
        if not others:
            return add_maps([total_BCHW], activation=self.activation)
        for left, path in zip(reversed(range(len(others))), others, strict=True):
            total_BCHW = add_upsampled(
                total_BCHW,
                path,
                align_corners=self.align_corners,
                activation="none" if left else self.activation,
            )
        return total_BCHW


def _fused_units(units: nn.Module) -> nn.Sequential:
    return nn.Sequential(*map(_fused, units.children()))


def _fused(module: nn.Module) -> nn.Module:
    make = _FUSED.get(type(module))
    if make:
        return make(module)
    fuse_network(module)
    return module


def _pool(x_BCHW: Tensor) -> Tensor:
    return max_pool(x_BCHW, 5, padding=2)


_FUSED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    ConvNormActivation: FusedConv,
    InvertedResidual: FusedInvertedResidual,
    Bottleneck: FusedBottleneck,
    ResNetEncoder: FusedResNetEncoder,
    RefineNetBlock: FusedBlock,
    ResidualConvUnit: FusedResidualConvUnit,
    ChainedResidualPooling: FusedChain,
    nn.Conv2d: convolution_layer,
}
