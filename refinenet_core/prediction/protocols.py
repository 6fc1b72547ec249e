"""Evaluation protocols: at which sizes a network looks at an image, and where maps are averaged.

| name | sizes | averaged at | labels |
|---|---|---|---|
| `native` | each scale of the image | the image's size | everywhere |
| `authors` | the short edge clamped to 450 to 800, each scale of that, 1.2 times | the largest map's size, then enlarged | everywhere |
| `authors_cityscapes` | likewise, clamped to 600 to 1100 | likewise | everywhere |
| `fixed` | the short edge made 500, the central 500x500, each scale of that | the crop's place in the image | in the crop |

Sources: `native` is the rule of the published PyTorch evaluation; `authors` that of the MATLAB
code of RefineNet's authors, whose resizing is bicubic where ours is bilinear throughout; `fixed`
is what deployments on accelerators of fixed input sizes do.
"""  # noqa: E501 - a table's rows are lines

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from refinenet_core.networks.normalisation import scaled_size

ProtocolName = Literal["native", "authors", "authors_cityscapes", "fixed"]

PROTOCOLS: Final[tuple[str, ...]] = get_args(ProtocolName)
_AUTHORS_SHORT_EDGE: Final = {"authors": (450, 800), "authors_cityscapes": (600, 1100)}
_AUTHORS_INPUT_FACTOR: Final = 1.2
_FIXED_EDGE: Final = 500


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; `bottom` and `right` are behind the last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """What picks the rectangle out of an array (H, W)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class View:
    """What a network looks at.

    Attributes:
        resized: Height and width that the image is resized to.
        crop: What of that is looked at.
    """

    resized: tuple[int, int]
    crop: Box


@dataclass(frozen=True)
class Views:
    """What a protocol makes of an image.

    Attributes:
        views: What the network looks at, a view per scale.
        region: Where in the image the labels lie.
        fused_at_largest: Whether maps are averaged at the largest one's size.
    """

    views: Sequence[View]
    region: Box
    fused_at_largest: bool = False


def plan_views(protocol: ProtocolName, height: int, width: int, scales: Sequence[float]) -> Views:
    """Return what a protocol makes of an image of a size."""
    whole = Box(0, 0, height, width)
    if protocol == "native":
        return Views([_whole(scaled_size(height, width, scale)) for scale in scales], whole)
    if protocol == "fixed":
        return _fixed(height, width, scales)
    low, high = _AUTHORS_SHORT_EDGE[protocol]
    short = min(height, width)
    factor = _AUTHORS_INPUT_FACTOR * min(max(short, low), high) / short
    sizes = [scaled_size(height, width, scale * factor) for scale in scales]
    return Views([_whole(size) for size in sizes], whole, fused_at_largest=True)


def _fixed(height: int, width: int, scales: Sequence[float]) -> Views:
    factor = _FIXED_EDGE / min(height, width)
    views = []
    for scale in scales:
        edge = max(1, int(scale * _FIXED_EDGE))
        resized = tuple(max(edge, round(side * factor * scale)) for side in (height, width))
        top, left = ((side - edge) // 2 for side in resized)
        views.append(View((resized[0], resized[1]), Box(top, left, top + edge, left + edge)))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return Views(views, Box(top, left, top + side, left + side))


def _whole(size: tuple[int, int]) -> View:
    return View(size, Box(0, 0, *size))
