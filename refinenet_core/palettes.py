"""Label sets: class names, colours and the value of unlabelled pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set.

    Attributes:
        name: Short name, as job specs give it.
        classes: Class names; a class's position is its id.
        colours: RGB, 0 to 255, per class.
        ignore_index: Value of unlabelled pixels in the published masks.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    ignore_index: int


def label_set(name: str) -> LabelSet:
    """Return a built-in label set.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in _LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}; known are: {', '.join(list_label_sets())}")
    return _LABEL_SETS[name]


def list_label_sets() -> list[str]:
    """Return the names that `label_set` knows, sorted."""
    return sorted(_LABEL_SETS)


def voc_colours(count: int) -> tuple[Colour, ...]:
    """Return the first colours of PASCAL VOC's palette, which spreads an id's bits over R, G, B.

    Source: the VOC development kit's `VOClabelcolormap`.
    """
    return tuple(
        (_spread_bits(index), _spread_bits(index >> 1), _spread_bits(index >> 2))
        for index in range(count)
    )


def png_palette(colours: Sequence[Colour]) -> bytes:
    """Return the 256 RGB entries of a mask's palette: the classes' colours, then VOC's.

    Returns:
        768 bytes.
    """
    entries = list(voc_colours(256))
    entries[: len(colours)] = list(colours)
    return bytes(channel for entry in entries for channel in entry)


def _spread_bits(value: int) -> int:
    """Move bits 0, 3 and 6 of `value` to bits 7, 6 and 5."""
    return (value & 1) << 7 | (value >> 3 & 1) << 6 | (value >> 6 & 1) << 5


_VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa",
    "train", "tv/monitor",
)  # fmt: skip

_CAMVID = {  # the 11 classes of SegNet's CamVid, in its order, with its colours
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign-symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}

_LABEL_SETS = {
    "camvid": LabelSet("camvid", tuple(_CAMVID), tuple(_CAMVID.values()), ignore_index=11),
    "voc": LabelSet("voc", _VOC_CLASSES, voc_colours(len(_VOC_CLASSES)), ignore_index=255),
}
