"""Thumbnails: an image and its label maps, small, as data URLs that a page can hold."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from refinenet_core.labels.palettes import Colour

Pixels = npt.NDArray[np.uint8]

LONGEST_PIXELS: Final = 320
"""Of a thumbnail's sides."""

WRONG: Final[Colour] = (222, 45, 38)
MENDED: Final[Colour] = (34, 160, 80)
MOVED: Final[Colour] = (240, 180, 40)
UNLABELLED: Final[Colour] = (128, 128, 128)

_JPEG_QUALITY: Final = 82


@dataclass(frozen=True)
class Thumbnails:
    """An image and its label maps, as data URLs.

    Attributes:
        width: Of each, in pixels.
        height: Of each, in pixels.
        prediction: In the classes' colours, transparent where there is none.
        image: None if there is no image.
        target: Likewise; None if there is no target.
        errors: Where labelled pixels are predicted wrong, in `WRONG`, and where none are labelled,
            in `UNLABELLED`; None if there is no target.
        other: The prediction of a second run, which is the one that the errors are of.
        changes: Where it differs: pixels that became right in `MENDED`, wrong in `WRONG`, and those
            that were and are wrong, or have no label, in `MOVED`.
    """

    width: int
    height: int
    prediction: str
    image: str | None
    target: str | None
    errors: str | None
    other: str | None = None
    changes: str | None = None


def draw_thumbnails(
    prediction: Pixels,
    colours: Sequence[Colour],
    *,
    image: Pixels | None = None,
    target: Pixels | None = None,
    other: Pixels | None = None,
) -> Thumbnails:
    """Draw thumbnails; ids that are no class are transparent.

    Args:
        prediction: Class ids, shape (H, W), uint8.
        colours: RGB of each class, each another.
        image: RGB, shape (H, W, 3), uint8.
        target: Class ids, shape (H, W), uint8.
        other: Class ids that a second run predicts, shape (H, W), uint8.
    """
    height, width = prediction.shape
    scale = min(1.0, LONGEST_PIXELS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = _reduced(prediction, size)
    small_target = None if target is None else _reduced(target, size)
    small_other = None if other is None else _reduced(other, size)
    latest = small if small_other is None else small_other
    return Thumbnails(
        width=size[0],
        height=size[1],
        prediction=_label_url(small, colours),
        image=None if image is None else _image_url(image, size),
        target=None if small_target is None else _label_url(small_target, colours),
        errors=None if small_target is None else _error_url(latest, small_target, len(colours)),
        other=None if small_other is None else _label_url(small_other, colours),
        changes=None if small_other is None else _change_url(small, small_other, small_target),
    )


def distinct(colours: Sequence[Colour]) -> list[Colour]:
    """Return the colours, those that repeat changed by as little as makes each another."""
    found: dict[Colour, None] = {}
    for red, green, blue in colours:
        steps = ((red, green ^ step >> 3, blue ^ step & 7) for step in range(2048))
        found[next(colour for colour in steps if colour not in found)] = None
    return list(found)


def _reduced(labels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a label map at another size: of each pixel the nearest, for ids have no mean."""
    picture = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    return np.asarray(picture)


def _image_url(pixels: Pixels, size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX, reducing_gap=3.0)
    small.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return _data_url("image/jpeg", buffer)


def _label_url(labels: Pixels, colours: Sequence[Colour]) -> str:
    # One entry more than there are classes, for all that is none: a PNG's few bits hold no others.
    places = np.minimum(labels, len(colours)).astype(np.uint8)
    return _palette_url(places, [*colours, (0, 0, 0)], bytes([255] * len(colours) + [0]))


def _error_url(prediction: Pixels, target: Pixels, num_classes: int) -> str:
    labelled = target < num_classes
    wrong = labelled & (prediction != target)
    places = np.where(labelled, wrong, 2).astype(np.uint8)
    return _palette_url(places, [(0, 0, 0), WRONG, UNLABELLED], bytes([0, 255, 160]))


def _change_url(before: Pixels, after: Pixels, target: Pixels | None) -> str:
    places = np.where(before == after, 0, 3).astype(np.uint8)
    if target is not None:
        places[(before != after) & (after == target)] = 1
        places[(before != after) & (before == target)] = 2
    return _palette_url(places, [(0, 0, 0), MENDED, WRONG, MOVED], bytes([0, 255, 255, 255]))


def _palette_url(indices: Pixels, colours: Sequence[Colour], opacities: bytes) -> str:
    picture = Image.fromarray(indices)
    picture.putpalette(bytes(channel for colour in colours for channel in colour))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", transparency=opacities, optimize=True)
    return _data_url("image/png", buffer)


def _data_url(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
