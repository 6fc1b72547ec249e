"""From encoded bytes to images and targets, or to the reason why not."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pipeline.errors import DecodeError
from refinenet_core import LabelSet

MAX_PIXELS = 178_956_970  # Pillow's own limit, at which 24-bit pixels fill half a GiB
_SAFE_MODES = {"1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"}
_ORIENTATION_TAG = 0x0112
_TARGET_MODES = {"L", "P", "1", "I", "I;16", "I;16B", "I;16L", "I;16N"}

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedImage:
    """An image ready for the network.

    Attributes:
        pixels: RGB, shape (H, W, 3), uint8, upright.
        stored_size: Height and width as stored, before the EXIF orientation.
        flags: What was done to it that a person might want to know.
    """

    pixels: Pixels
    stored_size: tuple[int, int]
    flags: list[str] = field(default_factory=list)


def decode_image(data: bytes) -> DecodedImage:
    """Decode an image to upright RGB; of an animated one, the first frame.

    Raises:
        DecodeError: "undecodable" bytes, an "unsupported" kind of pixel, or "too_large".
    """
    with _open(data) as image:
        return _guard(lambda: _upright_rgb(image))


def decode_target(data: bytes, size: tuple[int, int], labels: LabelSet) -> npt.NDArray[np.int64]:
    """Decode a target whose pixel values, or palette indices, stand for classes.

    Args:
        data: Encoded target.
        size: Height and width that it must have.
        labels: Its classes, the value of unlabelled pixels, and what pixel values stand for
            where they are not class ids.

    Returns:
        Class ids, shape `size`, int64, each below the number of classes or `ignore_index`.

    Raises:
        DecodeError: "bad_target", with what is wrong.
    """
    try:
        stored = _decode_labels(data)
    except DecodeError as error:
        raise DecodeError("bad_target", f"target: {error.reason}") from error
    if stored.shape != size:
        raise DecodeError(
            "bad_target",
            f"target is {stored.shape[1]}x{stored.shape[0]} pixels, its image {size[1]}x{size[0]}",
        )
    meaning = labels.label_map or {value: value for value in range(len(labels.classes))}
    meaning = {labels.ignore_index: labels.ignore_index, **meaning}
    values, places = np.unique(stored, return_inverse=True)
    unknown = [int(value) for value in values if int(value) not in meaning]
    if unknown:
        y, x = np.argwhere(np.isin(stored, unknown))[0]
        raise DecodeError(
            "bad_target",
            f"target holds {unknown[:10]}, which is none of the {len(labels.classes)} classes "
            f"and not ignore_index {labels.ignore_index}; the first at x={x}, y={y}",
        )
    ids = np.array([meaning[int(value)] for value in values], dtype=np.int64)
    return ids[places].reshape(size)


def _upright_rgb(image: Image.Image) -> DecodedImage:
    if image.mode not in _SAFE_MODES:
        raise DecodeError(
            "unsupported", f"pixels of mode {image.mode} cannot be turned into RGB faithfully"
        )
    stored_size = (image.height, image.width)
    flags = []
    if getattr(image, "n_frames", 1) > 1:
        flags.append("first_frame")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        flags.append("alpha_dropped")
    if image.getexif().get(_ORIENTATION_TAG, 1) in range(2, 9):
        flags.append("exif_applied")
    pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    return DecodedImage(np.ascontiguousarray(pixels), stored_size, flags)


def _decode_labels(data: bytes) -> npt.NDArray[np.int64]:
    with _open(data) as image:
        if image.mode not in _TARGET_MODES:
            raise DecodeError(
                "bad_target",
                f"has pixels of mode {image.mode}; expected class ids as grey values or as the "
                "indices of a palette",
            )
        return _guard(lambda: np.asarray(image).astype(np.int64))


def stored_pixels(data: bytes) -> int:
    """Return width times height from an image's header; 0 if it has none that can be read."""
    try:
        with _open(data) as image:
            return image.width * image.height
    except DecodeError:
        return 0


def _open(data: bytes) -> Image.Image:
    """Read an image's header, and refuse it before memory is spent if it is too large."""
    image = _guard(lambda: Image.open(io.BytesIO(data)))
    if image.width * image.height > MAX_PIXELS:
        raise DecodeError(
            "too_large",
            f"{image.width}x{image.height} pixels are more than {MAX_PIXELS}",
        )
    return image


def _guard(decode: Callable[[], T]) -> T:
    """Run a decoder on foreign bytes: whatever it raises is about the bytes, so becomes a row."""
    try:
        return decode()
    except DecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError("too_large", str(error)) from error
    except Exception as error:
        raise DecodeError("undecodable", f"{type(error).__name__}: {error}") from error
