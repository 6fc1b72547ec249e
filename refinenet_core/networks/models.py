"""The networks by name: encoder, decoder, head."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from refinenet_core.networks.blocks import BlockStyle
from refinenet_core.networks.cascade import Cascade
from refinenet_core.networks.costs import list_models
from refinenet_core.networks.encoders import MobileNetV2Encoder, ResNetEncoder, TwoScaleEncoder
from refinenet_core.networks.nasnet import NASNetMobileEncoder
from refinenet_core.networks.normalisation import HALVES, IMAGENET, Normalisation


class RefineNet(nn.Module):
    """A network of the RefineNet family: logits at a quarter of the image's size.

    Args:
        name: The network's name in `list_models()`.
        encoder: Module that returns features, finest first.
        decoder: Cascade that refines them to one map.
        num_classes: Number of classes, C.
        normalisation: What its input is normalised with.
        input_multiple: What the sides of the encoder's input must be multiples of; the image is
            padded with zeros on the right and below, and the logits are cropped.
        pre_head: What comes between decoder and head; nothing by default.
        dropped_features: Indices of the features that dropout acts on while training.
    """

    def __init__(
        self,
        name: str,
        encoder: nn.Module,
        decoder: Cascade,
        num_classes: int,
        *,
        normalisation: Normalisation = IMAGENET,
        input_multiple: int = 1,
        pre_head: nn.Module | None = None,
        dropped_features: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.dropout = nn.Dropout(0.5 if dropped_features else 0.0)
        self.pre_head = pre_head or nn.Identity()
        self.head = nn.Conv2d(decoder.channels, num_classes, kernel_size=3, padding=1)
        self.num_classes = num_classes
        self.normalisation = normalisation
        self.input_multiple = input_multiple
        self.dropped_features = frozenset(dropped_features)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits, shape (B, C, ceil(H/4), ceil(W/4)), of normalised images (B, 3, H, W)."""
        height, width = images_BCHW.shape[-2:]
        if self.input_multiple > 1:
            right, below = -width % self.input_multiple, -height % self.input_multiple
            images_BCHW = functional.pad(images_BCHW, (0, right, 0, below))
        features = [
            self.dropout(feature) if index in self.dropped_features else feature
            for index, feature in enumerate(self.encoder(images_BCHW))
        ]
        logits_BCHW: Tensor = self.head(self.pre_head(self.dropout(self.decoder(features))))
        size = (-(-height // 4), -(-width // 4))
        if self.input_multiple > 1:
            return logits_BCHW[..., : size[0], : size[1]]
        if logits_BCHW.shape[-2:] != size:  # of an encoder that looks at another scale
            return functional.interpolate(
                logits_BCHW, size=size, mode="bilinear", align_corners=False
            )
        return logits_BCHW


@dataclass(frozen=True)
class _Options:
    poolings: int
    improved_pooling: bool

    def applied_to(self, style: BlockStyle) -> BlockStyle:
        return replace(style, poolings=self.poolings, improved_pooling=self.improved_pooling)


def build_model(
    name: str,
    num_classes: int = 21,
    *,
    poolings: int = 4,
    improved_pooling: bool = False,
    device: str | None = None,
) -> RefineNet:
    """Build a network with random weights.

    Args:
        name: One of `list_models()`.
        num_classes: Number of classes, 1 to 255 (label maps are uint8 and 255 stays free).
        poolings: Poolings of each chained residual pooling: 4 in the published weights, 2 by
            default in the paper.
        improved_pooling: Convolve before pooling rather than after, as the authors' later models
            do; the parameters are the same.
        device: Where the parameters lie; on "meta" they take no memory until weights are loaded.

    Returns:
        The network, in training mode as PyTorch leaves a new module.

    Raises:
        ValueError: The name is unknown, or a number is out of range.
    """
    if name not in _BUILDERS:
        raise ValueError(f"unknown model {name!r}; known are: {', '.join(list_models())}")
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes is {num_classes}; it must lie between 1 and 255")
    if poolings < 1:
        raise ValueError(f"poolings is {poolings}; it must be at least 1")
    with torch.device(device) if device else contextlib.nullcontext():
        return _BUILDERS[name](name, num_classes, _Options(poolings, improved_pooling))


_FULL = BlockStyle()  # RefineNet
_LIGHT = BlockStyle(kernel_size=1, adaptation_units=0, output_units=0)  # Light-Weight RefineNet 3.2
_CASCADES = {  # which features enter each block, coarsest block first: RefineNet, figures 2c and 7
    "4cascade": ((3,), (2,), (1,), (0,)),
    "2cascade": ((2, 3), (0, 1)),
    "single": ((0, 1, 2, 3),),
}


def _resnet(
    name: str, num_classes: int, options: _Options, *, depth: int, style: BlockStyle, cascade: str
) -> RefineNet:
    """RefineNet (its section 3.1 and figures 2c and 7) or Light-Weight RefineNet on a ResNet.

    The coarsest feature is reduced to 512 channels, the others to 256.
    """
    encoder = ResNetEncoder(depth)
    decoder = Cascade(
        encoder.channels,
        (256, 256, 256, 512),
        inputs=_CASCADES[cascade],
        styles=[options.applied_to(style)] * len(_CASCADES[cascade]),
    )
    return RefineNet(name, encoder, decoder, num_classes, dropped_features=(2, 3))


def _two_scale(name: str, num_classes: int, options: _Options, *, depth: int) -> RefineNet:
    """RefineNet, 4-cascaded, on two scales of the image (its figure 7c and table 9).

    Features of equal resolution meet in a block: the reduced image's three coarsest enter the two
    coarse blocks, beside the enlarged image's, which feeds all four.
    """
    encoder = TwoScaleEncoder(depth)
    decoder = Cascade(
        encoder.channels,
        (256, 256, 256, 512) * 2,
        inputs=((3, 6, 7), (2, 5), (1,), (0,)),
        styles=[options.applied_to(_FULL)] * 4,
    )
    return RefineNet(name, encoder, decoder, num_classes, dropped_features=(2, 3, 6, 7))


def _mobilenet_v2(name: str, num_classes: int, options: _Options, *, multitask: bool) -> RefineNet:
    """Light-Weight RefineNet, section 3.4: two features for each of the two coarse blocks.

    The segmentation branch of Multi-Task RefineNet (Nekrasov et al., ICRA 2019) differs in the
    alignment of upsampling, in the chain of its last block and before the head.
    """
    light = replace(
        options.applied_to(_LIGHT),
        fusion_convs=False,
        activation="relu6",
        align_corners=not multitask,
    )
    last = replace(light, depthwise_pooling=multitask)
    encoder = MobileNetV2Encoder()
    decoder = Cascade(
        encoder.channels,
        (256,) * 6,
        inputs=((5, 4), (2, 3), (1,), (0,)),
        styles=(light, light, light, last),
    )
    pre_head = None
    if multitask:
        depthwise = nn.Conv2d(256, 256, kernel_size=1, groups=256, bias=False)
        pre_head = nn.Sequential(OrderedDict(conv=depthwise, activation=nn.ReLU6()))
    return RefineNet(name, encoder, decoder, num_classes, pre_head=pre_head)


def _nasnet_mobile(name: str, num_classes: int, options: _Options) -> RefineNet:
    """Light-Weight RefineNet on NASNet-Mobile, which its section 3.4 names without a figure."""
    encoder = NASNetMobileEncoder()
    decoder = Cascade(
        encoder.channels,
        (256,) * 4,
        inputs=_CASCADES["4cascade"],
        styles=[options.applied_to(_LIGHT)] * 4,
    )
    return RefineNet(name, encoder, decoder, num_classes, normalisation=HALVES, input_multiple=32)


def _resnets() -> dict[str, Callable[..., RefineNet]]:
    builders: dict[str, Callable[..., RefineNet]] = {}
    for depth in (50, 101, 152):
        for prefix, style in (("refinenet", _FULL), ("refinenet_lw", _LIGHT)):
            builders[f"{prefix}{depth}"] = partial(
                _resnet, depth=depth, style=style, cascade="4cascade"
            )
    for cascade in ("single", "2cascade"):
        builders[f"refinenet101_{cascade}"] = partial(
            _resnet, depth=101, style=_FULL, cascade=cascade
        )
    return builders


_BUILDERS: dict[str, Callable[..., RefineNet]] = {
    **_resnets(),
    "refinenet101_2scale": partial(_two_scale, depth=101),
    "refinenet_lw_mobilenet_v2": partial(_mobilenet_v2, multitask=False),
    "refinenet_lw_nasnet_mobile": _nasnet_mobile,
    "refinenet_multitask_mobilenet_v2": partial(_mobilenet_v2, multitask=True),
}
