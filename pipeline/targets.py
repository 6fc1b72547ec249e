"""From an encoded target to class ids, or to the reason why not."""

from contextlib import closing
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from pipeline.dataset_spec import LabelsSpec
from pipeline.decoding import (
    INVERSE_ORIENTATION,
    Array,
    guard,
    open_image,
    own_orientation,
    ppm_maxval,
    refuse_damaged,
    sample_bits,
    turn,
)
from pipeline.errors import DecodeError
from refinenet_core import LabelSet
from refinenet_core.palettes import Colour

ClassIds = npt.NDArray[np.uint8]

# WebP may be lossy, and does not say.
_EXACT_FORMATS = {"BMP", "GIF", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
_INDEX_MODES = {"L", "P", "1", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_COLOUR_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
_TIFF_PHOTOMETRIC = 262
_OUTSIDE = 1 << 16  # stands in a table for every value that 16 bits cannot hold
_SHOWN = 10


class TargetReader:
    """Read the targets of a data set.

    What a target holds is looked up in a table. With indices these are grey values or palette
    indices, and they stand for what the spec says, or else for what the label set's own masks
    hold. With colours they are the classes' colours, exactly.

    Args:
        labels: The classes, their colours, and how the published masks hold them.
        spec: How these targets hold them.
    """

    def __init__(self, labels: LabelSet, spec: LabelsSpec) -> None:
        self.labels = labels
        self.spec = spec
        translated = spec.label_map is not None or spec.reduce_zero_label
        self._by_colour = (spec.encoding or labels.encoding) == "colours" and not translated
        if self._by_colour:
            self._table = _colour_table(labels, spec)
        else:
            self._table = _index_table(_meanings(labels, spec), labels.ignore_index)

    def read(
        self,
        data: bytes,
        size: tuple[int, int],
        orientation: int = 1,
        *,
        exif_applied: bool = False,
    ) -> ClassIds:
        """Decode a target and translate it.

        Args:
            data: Encoded target.
            size: Height and width of the image as it was predicted, which the target must have.
            orientation: EXIF orientation of the image, 1 to 8.
            exif_applied: Whether the image was turned by it.

        Returns:
            Class ids, shape `size`, uint8, each below the number of classes or `ignore_index`.

        Raises:
            DecodeError: "bad_target", with what is wrong.
        """
        turning = self._turning(orientation, exif_applied=exif_applied)
        try:
            with closing(open_image(data, None)) as image:
                self._check_size(image, size, orientation, turning)
                stored = guard(lambda: self._stored(image, data))
        except DecodeError as error:
            if error.status == "bad_target":
                raise
            raise DecodeError("bad_target", f"target: {error.reason}") from error
        return turn(self._translate(stored), turning)

    def _turning(self, orientation: int, *, exif_applied: bool) -> int:
        """Return the orientation by which a target is to be turned."""
        if orientation == 1:
            return 1
        if self.spec.frame is None:
            _bad(
                f"may lie as its image is stored or upright: the image has EXIF orientation "
                f"{orientation}; write `labels: {{frame: stored}}` or `labels: {{frame: upright}}`"
            )
        if self.spec.frame == "stored":
            return orientation if exif_applied else 1
        return 1 if exif_applied else INVERSE_ORIENTATION.get(orientation, orientation)

    def _check_size(
        self, image: ImageFile.ImageFile, size: tuple[int, int], orientation: int, turning: int
    ) -> None:
        """Compare sizes by the header, before memory is spent."""
        found = (image.width, image.height) if turning >= 5 else (image.height, image.width)
        if found == size:
            return
        turned = ""
        if orientation != 1:
            turned = (
                f" (by `labels: {{frame: {self.spec.frame}}}`, the image's EXIF orientation "
                f"being {orientation})"
            )
        _bad(f"is {found[1]}x{found[0]} pixels, its image {size[1]}x{size[0]}{turned}")

    def _stored(self, image: ImageFile.ImageFile, data: bytes) -> Array:
        _refuse_altered(image)
        refuse_damaged(data)
        stored = _colours(image, data) if self._by_colour else _indices(image, data)
        orientation = own_orientation(image)  # last: it may stand behind the pixels
        if orientation != 1:
            _bad(
                f"has EXIF orientation {orientation} of its own, so that nobody can tell how it "
                "lies; write it without"
            )
        return stored

    def _translate(self, stored: Array) -> ClassIds:
        places = stored
        if not self._by_colour and stored.dtype.itemsize > 2:
            places = np.where((stored < 0) | (stored >= _OUTSIDE), _OUTSIDE, stored)
        ids = self._table[places]
        if not ids.all():
            self._refuse_unknown(stored, ids == 0)
        return (ids - 1).astype(np.uint8)

    def _refuse_unknown(self, stored: Array, unknown: npt.NDArray[np.bool_]) -> NoReturn:
        """Name what the table does not hold, where the first is, and what may be meant."""
        values = [int(value) for value in np.unique(stored[unknown])]
        y, x = divmod(int(unknown.argmax()), stored.shape[1])
        where = f"the first at x={x}, y={y}"
        if self._by_colour:
            colours = [list(_colour(value)) for value in values[:_SHOWN]]
            _bad(
                f"holds {', '.join(str(_colour(value)) for value in values[:_SHOWN])}, none of the "
                f"colours of the {len(self.labels.classes)} classes and not of unlabelled pixels; "
                f"{where}; if they are unlabelled, write `labels: {{ignore_colours: {colours}}}`"
            )
        known = f"the {len(self.labels.classes)} classes and not ignore_index"
        if self.spec.label_map is not None:
            known = "the values in labels.label_map and not ignore_index"
        _bad(
            f"holds {values[:_SHOWN]}, which is none of {known} {self.labels.ignore_index}; {where}"
            f"; {self._remedy(values)}"
        )

    def _remedy(self, values: list[int]) -> str:
        if values == [len(self.labels.classes)]:
            return "if 0 is unlabelled in it, write `labels: {reduce_zero_label: true}`"
        if len(values) == 1 and 0 <= values[0] <= 255:
            return f"if that is unlabelled, write `ignore_index: {values[0]}`"
        return "if they stand for classes, say for which by `labels: {label_map: ...}`"


def _bad(reason: str) -> NoReturn:
    raise DecodeError("bad_target", f"target {reason}")


def _meanings(labels: LabelSet, spec: LabelsSpec) -> dict[int, int]:
    """Return class id or `ignore_index` by the value that a target holds."""
    if spec.label_map is not None:
        return dict(spec.label_map)
    if spec.reduce_zero_label:
        return {0: labels.ignore_index} | {k + 1: k for k in range(len(labels.classes))}
    if spec.encoding is None and labels.label_map:
        return dict(labels.label_map)
    return {class_id: class_id for class_id in range(len(labels.classes))}


def _index_table(meanings: dict[int, int], ignore_index: int) -> npt.NDArray[np.uint16]:
    """Return class ids plus 1 by the value in a target, 0 where it has no meaning."""
    table = np.zeros(_OUTSIDE + 1, np.uint16)
    for value, class_id in ({ignore_index: ignore_index} | meanings).items():
        table[value] = class_id + 1
    return table


def _colour_table(labels: LabelSet, spec: LabelsSpec) -> npt.NDArray[np.uint16]:
    """Return class ids plus 1 by colour, of which a target holds few: little of it is touched."""
    ignored = labels.ignore_colours if spec.ignore_colours is None else spec.ignore_colours
    table = np.zeros(1 << 24, np.uint16)
    for colour in ignored:
        table[_code(colour)] = labels.ignore_index + 1
    for class_id, colour in enumerate(labels.colours):
        table[_code(colour)] = class_id + 1
    return table


def _code(colour: Colour) -> int:
    return int.from_bytes(bytes(colour), "little")


def _colour(code: int) -> Colour:
    return code & 255, code >> 8 & 255, code >> 16


def _refuse_altered(image: ImageFile.ImageFile) -> None:
    compression = image.info.get("compression") if image.format == "TIFF" else None
    if image.format not in _EXACT_FORMATS or compression in ("jpeg", "tiff_jpeg"):
        _bad(f"is {image.format} compressed with loss, which alters labels; write PNG")


def _indices(image: ImageFile.ImageFile, data: bytes) -> Array:
    """Return grey values or palette indices as the file stores them, shape (H, W)."""
    if image.mode not in _INDEX_MODES:
        remedy = "; if its colours stand for the classes, write `labels: {encoding: colours}`"
        _bad(
            f"has pixels of mode {image.mode}; expected class ids as grey values or as the indices "
            f"of a palette{remedy if image.mode in _COLOUR_MODES - {'LA'} else ''}"
        )
    if image.mode == "L" and image.format != "PPM" and sample_bits(image, data) < 8:
        _bad("holds grey of 2 or 4 bits, whose 1 may mean 1, or 85 or 17 of 255; write 8 bits")
    if _inverted(image):
        _bad("stores white as 0, so that its values may mean their opposite; write PNG")
    if image.mode == "1":
        return np.asarray(image.convert("L")) // 255
    maxval = ppm_maxval(image) if image.format == "PPM" else None
    values = np.asarray(image)
    if maxval is not None:  # Pillow has spread the values over 8 or 16 bits
        full = 65535 if image.mode == "I" else 255
        values = (values.astype(np.int64) * maxval + full // 2) // full
    return values


def _inverted(image: ImageFile.ImageFile) -> bool:
    """Say whether Pillow turns the values around, as it does where 0 is white."""
    if image.format == "TIFF" and image.mode in ("1", "L"):
        return bool(getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC, 0) == 0)
    return image.format == "PPM" and image.mode == "1"


def _colours(image: ImageFile.ImageFile, data: bytes) -> Array:
    """Return colours as numbers, R + 256 G + 65536 B, shape (H, W)."""
    if image.mode not in _COLOUR_MODES or sample_bits(image, data) > 8:
        _bad(f"has pixels of mode {image.mode} or of 16 bits; expected RGB of 8 bits")
    rgba = np.frombuffer(image.convert("RGBA").tobytes(), "<u4").reshape(image.height, image.width)
    see_through = rgba < 255 << 24
    if see_through.any():
        y, x = divmod(int(see_through.argmax()), image.width)
        _bad(f"is transparent at x={x}, y={y}, where its colour means nothing; write it opaque")
    return rgba & 0xFFFFFF
