"""The networks by name: encoder, decoder, head."""

from collections.abc import Callable

from torch import Tensor, nn

from refinenet_core.decoders import Cascade
from refinenet_core.encoders import MobileNetV2Encoder


class RefineNet(nn.Module):
    """A network of the RefineNet family: logits at a quarter of the image's size.

    Args:
        name: The network's name in `list_models()`.
        encoder: Module that returns features, finest first.
        decoder: Cascade that refines them to one map.
        num_classes: Number of classes, C.
    """

    def __init__(self, name: str, encoder: nn.Module, decoder: Cascade, num_classes: int) -> None:
        super().__init__()
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.head = nn.Conv2d(decoder.channels, num_classes, kernel_size=3, padding=1)
        self.num_classes = num_classes

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits, shape (B, C, ceil(H/4), ceil(W/4)), of normalised images (B, 3, H, W)."""
        logits_BCHW: Tensor = self.head(self.decoder(self.encoder(images_BCHW)))
        return logits_BCHW


def build_model(name: str, num_classes: int = 21) -> RefineNet:
    """Build a network with random weights.

    Args:
        name: One of `list_models()`.
        num_classes: Number of classes, 1 to 255 (label maps are uint8 and 255 stays free).

    Returns:
        The network, in training mode as PyTorch leaves a new module.

    Raises:
        ValueError: The name is unknown, or `num_classes` is out of range.
    """
    if name not in _BUILDERS:
        raise ValueError(f"unknown model {name!r}; known are: {', '.join(list_models())}")
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes is {num_classes}; it must lie between 1 and 255")
    return _BUILDERS[name](num_classes)


def list_models() -> list[str]:
    """Return the names that `build_model` knows, sorted."""
    return sorted(_BUILDERS)


def _refinenet_lw_mobilenet_v2(num_classes: int) -> RefineNet:
    """Light-Weight RefineNet, section 3.4: six features, two for each of the two coarse blocks."""
    encoder = MobileNetV2Encoder()
    decoder = Cascade(encoder.channels, inputs=((5, 4), (2, 3), (1,), (0,)))
    return RefineNet("refinenet_lw_mobilenet_v2", encoder, decoder, num_classes)


_BUILDERS: dict[str, Callable[[int], RefineNet]] = {
    "refinenet_lw_mobilenet_v2": _refinenet_lw_mobilenet_v2,
}
