"""Pictures for people: an image beside its target, its prediction, and the two overlaid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_PAPER = (255, 255, 255)
_INK = (45, 45, 50)
_MARGIN = 8
_CAPTION_PIXELS = 20
_FONT_PIXELS = 12
_SWATCH_PIXELS = 12
_OVERLAY_SHARE = 0.5


def side_by_side(
    image: NDArray[np.uint8],
    target: NDArray[np.uint8] | None,
    prediction: NDArray[np.uint8],
    *,
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> Image.Image:
    """Draw image, target, prediction and overlay in a row, captioned, above a legend.

    Args:
        image: RGB, shape (H, W, 3), uint8.
        target: True class ids, shape (H, W), uint8; None leaves its panel out.
        prediction: Predicted class ids, shape (H, W), uint8.
        classes: Class names by class id.
        colours: RGB of each class; an id that is not a class is drawn black.

    Returns:
        An RGB picture.

    Raises:
        ValueError: The shapes differ, or there is not one colour a class.
    """
    _check(image, target, prediction, classes, colours)
    predicted = colourise(prediction, colours)
    overlay = (1 - _OVERLAY_SHARE) * image + _OVERLAY_SHARE * predicted
    panels = [("image", image)]
    if target is not None:
        panels.append(("target", colourise(target, colours)))
    panels += [("prediction", predicted), ("overlay", overlay.astype(np.uint8))]
    height, width = prediction.shape
    across = _MARGIN + len(panels) * (width + _MARGIN)
    key = legend(classes, colours, width=across)
    picture = Image.new("RGB", (across, _CAPTION_PIXELS + height + key.height), _PAPER)
    for position, (caption, pixels) in enumerate(panels):
        left = _MARGIN + position * (width + _MARGIN)
        _write(picture, (left, _CAPTION_PIXELS // 2), caption)
        picture.paste(Image.fromarray(pixels), (left, _CAPTION_PIXELS))
    picture.paste(key, (0, _CAPTION_PIXELS + height))
    return picture


def legend(
    classes: Sequence[str], colours: Sequence[tuple[int, int, int]], *, width: int
) -> Image.Image:
    """Draw a swatch and the name of each class, on as many lines as `width` pixels call for."""
    font = ImageFont.load_default(_FONT_PIXELS)
    spots = []
    left, line = _MARGIN, 0
    for name in classes:
        advance = _SWATCH_PIXELS + 5 + int(font.getlength(name)) + 2 * _MARGIN
        if left > _MARGIN and left + advance > width:
            left, line = _MARGIN, line + 1
        spots.append((left, _MARGIN + line * _CAPTION_PIXELS))
        left += advance
    picture = Image.new(
        "RGB", (width, 2 * _MARGIN + line * _CAPTION_PIXELS + _SWATCH_PIXELS), _PAPER
    )
    draw = ImageDraw.Draw(picture)
    for name, colour, (x, y) in zip(classes, colours, spots, strict=True):
        corner = x + _SWATCH_PIXELS - 1, y + _SWATCH_PIXELS - 1
        draw.rectangle((x, y, *corner), fill=colour)
        _write(picture, (x + _SWATCH_PIXELS + 5, y + _SWATCH_PIXELS // 2), name)
    return picture


def colourise(
    labels: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """Return RGB, shape (H, W, 3), of class ids, shape (H, W); ids that are no class are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    return table[labels]


def _check(
    image: NDArray[np.uint8],
    target: NDArray[np.uint8] | None,
    prediction: NDArray[np.uint8],
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> None:
    if len(classes) != len(colours):
        raise ValueError(f"{len(classes)} classes have {len(colours)} colours; give one a class")
    for name, labels in (("target", target), ("prediction", prediction)):
        if labels is not None and labels.shape != image.shape[:2]:
            raise ValueError(
                f"{name} has shape {labels.shape}, the image {image.shape}; "
                f"the {name} must have the image's height and width"
            )


def _write(picture: Image.Image, left_middle: tuple[int, int], text: str) -> None:
    font = ImageFont.load_default(_FONT_PIXELS)
    ImageDraw.Draw(picture).text(left_middle, text, fill=_INK, font=font, anchor="lm")
