"""Label images: what the values or colours of a mask that somebody wrote stand for."""

from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from pipeline.errors import DecodeError
from pipeline.images.decoding import Array, own_orientation, ppm_maxval, refuse_damaged, sample_bits
from pipeline.spec.dataset_spec import LabelsSpec
from refinenet_core.labels.label_sets import LabelSet
from refinenet_core.labels.palettes import Colour

ClassIds = npt.NDArray[np.uint8]

# WebP may be lossy, and does not say.
_EXACT_FORMATS = {"BMP", "GIF", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
_INDEX_MODES = {"L", "P", "1", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_COLOUR_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
_TIFF_PHOTOMETRIC = 262
_OUTSIDE = 1 << 16  # stands in a table for every value that 16 bits cannot hold


class LabelsError(DecodeError):
    """An image that is no label image; `reason` goes on from its name, as in "is lossy"."""


class LabelTable:
    """The class ids that stand for what label images hold, looked up in a table.

    With indices these are grey values or palette indices, and they stand for what the spec says, or
    else for what the label set's own masks hold. With colours they are the classes' colours,
    exactly.

    Args:
        labels: The classes, their colours, and how the published masks hold them.
        spec: How these label images hold them.
        section: The section of a dataset's spec that says so, for messages.

    Attributes:
        by_colour: Whether colours are looked up.
    """

    def __init__(self, labels: LabelSet, spec: LabelsSpec, section: str) -> None:
        self._section = section
        translated = spec.label_map is not None or spec.reduce_zero_label
        self.by_colour = (spec.encoding or labels.encoding) == "colours" and not translated
        if self.by_colour:
            self._table = _colour_table(labels, spec)
        else:
            self._table = _index_table(_meanings(labels, spec), labels.ignore_index)

    def stored(self, image: ImageFile.ImageFile, data: bytes) -> Array:
        """Return what an image holds, shape (H, W), integers: indices, or colours as numbers.

        Raises:
            LabelsError: It holds neither for sure.
            DecodeError: It is damaged.
        """
        _refuse_altered(image)
        refuse_damaged(data)
        stored = _colours(image, data) if self.by_colour else self._indices(image, data)
        orientation = own_orientation(image)  # last: it may stand behind the pixels
        if orientation != 1:
            refuse(
                f"has EXIF orientation {orientation} of its own, so that nobody can tell how it "
                "lies; write it without"
            )
        return stored

    def look_up(self, stored: Array) -> npt.NDArray[np.uint16]:
        """Return class ids (or `ignore_index`) plus 1, shape (H, W); 0 for what has no meaning."""
        places = stored
        if not self.by_colour and stored.dtype.itemsize > 2:
            places = np.where((stored < 0) | (stored >= _OUTSIDE), _OUTSIDE, stored)
        ids: npt.NDArray[np.uint16] = self._table[places]
        return ids

    def _indices(self, image: ImageFile.ImageFile, data: bytes) -> Array:
        """Return grey values or palette indices as the file stores them, shape (H, W)."""
        if image.mode not in _INDEX_MODES:
            asked = "expected class ids as grey values or as the indices of a palette"
            if image.mode in _COLOUR_MODES - {"LA"}:
                remedy = f"write `{self._section}: {{encoding: colours}}`"
                asked = f"{asked}; if its colours stand for the classes, {remedy}"
            refuse(f"has pixels of mode {image.mode}; {asked}")
        if image.mode == "L" and image.format != "PPM" and sample_bits(image, data) < 8:
            refuse(
                "holds grey of 2 or 4 bits, whose 1 may mean 1, or 85 or 17 of 255; write 8 bits"
            )
        if _inverted(image):
            refuse("stores white as 0, so that its values may mean their opposite; write PNG")
        if image.mode == "1":
            return np.asarray(image.convert("L")) // 255
        maxval = ppm_maxval(image) if image.format == "PPM" else None
        values = np.asarray(image)
        if maxval is not None:  # Pillow has spread the values over 8 or 16 bits
            full = 65535 if image.mode == "I" else 255
            values = (values.astype(np.int64) * maxval + full // 2) // full
        return values


def refuse(reason: str) -> NoReturn:
    """Raise LabelsError."""
    raise LabelsError("unsupported", reason)


def colour_of(code: int) -> Colour:
    """Return the colour that `LabelTable.stored` gives as a number."""
    return code & 255, code >> 8 & 255, code >> 16


def _meanings(labels: LabelSet, spec: LabelsSpec) -> dict[int, int]:
    """Return class id or `ignore_index` by the value that a label image holds."""
    if spec.label_map is not None:
        return dict(spec.label_map)
    if spec.reduce_zero_label:
        return {0: labels.ignore_index} | {k + 1: k for k in range(len(labels.classes))}
    if spec.encoding is None and labels.label_map:
        return dict(labels.label_map)
    return {class_id: class_id for class_id in range(len(labels.classes))}


def _index_table(meanings: dict[int, int], ignore_index: int) -> npt.NDArray[np.uint16]:
    """Return class ids plus 1 by the value in a label image, 0 where it has no meaning."""
    table = np.zeros(_OUTSIDE + 1, np.uint16)
    for value, class_id in ({ignore_index: ignore_index} | meanings).items():
        table[value] = class_id + 1
    return table


def _colour_table(labels: LabelSet, spec: LabelsSpec) -> npt.NDArray[np.uint16]:
    """Return class ids plus 1 by colour, of which an image holds few: little of it is touched."""
    ignored = labels.ignore_colours if spec.ignore_colours is None else spec.ignore_colours
    table = np.zeros(1 << 24, np.uint16)
    for colour in ignored:
        table[_code(colour)] = labels.ignore_index + 1
    for class_id, colour in enumerate(labels.colours):
        table[_code(colour)] = class_id + 1
    return table


def _code(colour: Colour) -> int:
    return int.from_bytes(bytes(colour), "little")


def _refuse_altered(image: ImageFile.ImageFile) -> None:
    compression = image.info.get("compression") if image.format == "TIFF" else None
    if image.format not in _EXACT_FORMATS or compression in ("jpeg", "tiff_jpeg"):
        refuse(f"is {image.format} compressed with loss, which alters labels; write PNG")


def _inverted(image: ImageFile.ImageFile) -> bool:
    """Say whether Pillow turns the values around, as it does where 0 is white."""
    if image.format == "TIFF" and image.mode in ("1", "L"):
        return bool(getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC, 0) == 0)
    return image.format == "PPM" and image.mode == "1"


def _colours(image: ImageFile.ImageFile, data: bytes) -> Array:
    """Return colours as numbers, R + 256 G + 65536 B, shape (H, W)."""
    if image.mode not in _COLOUR_MODES or sample_bits(image, data) > 8:
        refuse(f"has pixels of mode {image.mode} or of 16 bits; expected RGB of 8 bits")
    rgba = np.frombuffer(image.convert("RGBA").tobytes(), "<u4").reshape(image.height, image.width)
    see_through = rgba < 255 << 24
    if see_through.any():
        y, x = divmod(int(see_through.argmax()), image.width)
        refuse(f"is transparent at x={x}, y={y}, where its colour means nothing; write it opaque")
    return rgba & 0xFFFFFF
