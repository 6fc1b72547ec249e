"""From encoded bytes to upright RGB pixels, or to the reason why not."""

import io
import re
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from pipeline.errors import DecodeError
from pipeline.spec.dataset_spec import DecodeSpec

# Formats whose pixels are known to come out right. The others of Pillow's are drawings, which need
# an interpreter, containers without a decoder, or rare ones in which it drops bits without a word.
_FORMATS = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
_ALPHA_MODES = {"RGBA", "LA", "PA", "La"}
_RGB_MODES = {"1", "L", "P", "RGB", "CMYK", "YCbCr", *_ALPHA_MODES}
_GREY_16BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N"}
_ORIENTATION_TAG = 0x0112
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_PHOTOMETRIC = 256, 257, 258, 262
_TIFF_PLANES, _TIFF_SAMPLE_FORMAT = 284, 339

INVERSE_ORIENTATION = {6: 8, 8: 6}
"""The orientation that turns back what another turned; the six not here undo themselves."""

T = TypeVar("T")
Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedImage:
    """An image ready for the network.

    Attributes:
        pixels: RGB, shape (H, W, 3), uint8.
        stored_size: Height and width as stored, before the EXIF orientation.
        orientation: EXIF orientation, 1 to 8; the pixels are turned by it if the flags hold
            `exif_applied`.
        flags: What was done to it that a person might want to know.
    """

    pixels: Pixels
    stored_size: tuple[int, int]
    orientation: int = 1
    flags: list[str] = field(default_factory=list)


def allow_pixels(max_pixels: int) -> None:
    """Make Pillow's own limit agree with ours, for this process.

    Pillow refuses above twice its limit, so half of ours is the one that fits. It checks what we
    cannot see in a header: the tiles of a TIFF and the frames of an animation.

    Args:
        max_pixels: The largest image that any data set allows.
    """
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2


def stored_pixels(data: bytes, spec: DecodeSpec) -> int:
    """Return width times height from an image's header.

    Raises:
        DecodeError: "undecodable", "unsupported" or "too_large", as far as the header tells.
    """
    with closing(open_image(data, spec.max_pixels)) as image:
        return image.width * image.height


def decode_image(data: bytes, spec: DecodeSpec) -> DecodedImage:
    """Decode an image to RGB; of an animated one or one of many pages, the first.

    Samples of more than 8 bits give 8 and the flag `scaled_16bit`: grey ones are scaled by their
    largest value and rounded; of colours Pillow keeps the high byte, which is within 1 of that, but
    in PPM, where it rounds. CMYK is converted without its ICC profile, and taken to be inverted in
    JPEG, as Adobe writes it.

    Raises:
        DecodeError: "undecodable" bytes, an "unsupported" kind of pixel, or "too_large".
    """
    with closing(open_image(data, spec.max_pixels)) as image:
        orientation, flags = _orientation(image)
        stored_size = _stored_size(image)
        pixels, turned = guard(lambda: _stored_rgb(image, data, flags))
    # The image is closed: from here on its pixels are held once, or twice while they are turned.
    if orientation != 1 and spec.exif_transpose:
        flags.append("exif_applied")
        if not turned:
            pixels = guard(lambda: turn(pixels, orientation))
    elif turned:
        pixels = guard(lambda: turn(pixels, INVERSE_ORIENTATION.get(orientation, orientation)))
    return DecodedImage(pixels, stored_size, orientation, flags)


def open_image(data: bytes, max_pixels: int | None) -> ImageFile.ImageFile:
    """Read an image's header, and refuse it before memory is spent if it is too large.

    Raises:
        DecodeError: "undecodable" bytes, an "unsupported" format, or "too_large".
    """
    image = guard(lambda: Image.open(io.BytesIO(data)))
    if image.format not in _FORMATS:
        raise DecodeError("unsupported", f"{image.format} images are not read; write PNG or JPEG")
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise DecodeError(
            "too_large",
            f"{image.width}x{image.height} pixels are more than decode.max_pixels, {max_pixels}",
        )
    return image


def guard(decode: Callable[[], T]) -> T:
    """Run a decoder on foreign bytes: whatever it raises is about the bytes, so becomes a row.

    Raises:
        DecodeError: "too_large" or "undecodable", with what the decoder said.
    """
    try:
        return decode()
    except (DecodeError, MemoryError):  # for want of memory: that is not about the bytes
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError("too_large", str(error)) from error
    except UnidentifiedImageError as error:  # its own words hold an address, other in each run
        raise DecodeError(
            "undecodable", "in no known image format, or damaged at its head"
        ) from error
    except Exception as error:
        raise DecodeError("undecodable", f"{type(error).__name__}: {error}") from error


def turn(array: Array, orientation: int) -> Array:
    """Turn rows and columns upright by an EXIF orientation, 1 to 8.

    Source: the figures of tag 274 in the Exif and TIFF 6.0 standards.
    """
    if orientation in (5, 6, 7, 8):  # the stored rows are columns
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def own_orientation(image: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation in an image's header, 1 if it has none of 2 to 8."""
    orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    return int(orientation) if orientation in range(2, 9) else 1


def refuse_damaged(data: bytes) -> None:
    """Refuse a PNG whose pixels do not have their checksum, which Pillow leaves unread.

    Of bits that flip in a mask of a few kilobytes, one in ten gave other labels and no error.

    Raises:
        DecodeError: "undecodable".
    """
    place = len(_PNG_SIGNATURE)
    content = memoryview(data)
    while data.startswith(_PNG_SIGNATURE) and place + 12 <= len(data):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        pixels = data[place + 4 : place + 8] == b"IDAT"
        checksum = int.from_bytes(content[end : end + 4], "big")
        if pixels and end + 4 <= len(data) and zlib.crc32(content[place + 4 : end]) != checksum:
            raise DecodeError("undecodable", f"wrong checksum of the PNG's pixels at byte {place}")
        place = end + 4


def sample_bits(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return the bits of the source's samples, of which Pillow may keep fewer."""
    arguments = str(image.tile[0].args) if image.tile else ""
    match image.format:
        case "PNG":
            return data[data.index(b"IHDR") + 12]
        case "TIFF":
            return max(_tiff_tag(image, _TIFF_BITS))
        case "PPM":
            return 16 if ";16" in arguments else ppm_maxval(image).bit_length()
        case "JPEG2000":
            return max(_jpeg2000_bits(data))
        case "AVIF":
            # After its marker `av1C` says in the third byte whether samples have 10 or 12 bits.
            return 10 if re.search(rb"av1C..[\x40-\x7f\xc0-\xff]", data, re.DOTALL) else 8
        case _:
            return 8


def ppm_maxval(image: ImageFile.ImageFile) -> int:
    """Return the value that stands for full intensity in a PPM, PGM or PBM."""
    arguments = image.tile[0].args
    if arguments == "I;16B":
        return 65535
    return int(arguments[1]) if isinstance(arguments, tuple) else 255


def _orientation(image: ImageFile.ImageFile) -> tuple[int, list[str]]:
    """Return the orientation and the first flags; metadata beyond reading does not cost pixels."""
    if image.format == "PNG":  # its EXIF data may stand behind its pixels
        guard(image.load)
    try:
        return guard(lambda: own_orientation(image)), []
    except DecodeError:
        return 1, ["exif_unreadable"]


def _stored_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return height and width as stored; Pillow gives those of a TIFF as turned."""
    if image.format == "TIFF":
        return _tiff_tag(image, _TIFF_HEIGHT)[0], _tiff_tag(image, _TIFF_WIDTH)[0]
    return image.height, image.width


def _stored_rgb(image: ImageFile.ImageFile, data: bytes, flags: list[str]) -> tuple[Pixels, bool]:
    """Return RGB, and whether Pillow has turned it upright; add to the flags."""
    refuse_damaged(data)
    _refuse_unfaithful(image, data)
    if getattr(image, "is_animated", False):
        flags.append("first_frame")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        flags.append("alpha_dropped")
    if image.mode == "CMYK":
        flags.append("cmyk_converted")
    if sample_bits(image, data) > 8:
        flags.append("scaled_16bit")
    has_orientation = _ORIENTATION_TAG in image.getexif()
    pixels = _rgb(image)
    # Pillow turns a TIFF while it loads, and takes the tag away.
    return pixels, has_orientation and _ORIENTATION_TAG not in image.getexif()


def _refuse_unfaithful(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse pixels that Pillow would saturate, misread or guess at."""
    kind = None
    if image.mode == "F":
        kind = "floating-point samples, whose range is unknown"
    elif image.mode == "I" and image.format not in ("PNG", "PPM"):
        kind = "signed or 32-bit samples, whose range is unknown"
    elif image.mode not in _RGB_MODES | _GREY_16BIT_MODES | {"I"}:
        kind = f"pixels of mode {image.mode}"
    elif image.format == "TIFF":
        kind = _unfaithful_tiff(image)
    elif image.format == "JPEG2000" and min(_jpeg2000_bits(data)) < 8:
        kind = "samples of less than 8 bits in JPEG 2000"
    if kind:
        raise DecodeError(
            "unsupported",
            f"{kind}, cannot be turned into RGB faithfully; convert to 8 or 16 bits without sign, "
            "grey or RGB",
        )


def _unfaithful_tiff(image: ImageFile.ImageFile) -> str | None:
    if 2 in _tiff_tag(image, _TIFF_SAMPLE_FORMAT):
        return "signed samples, whose range is unknown"
    if image.mode in _GREY_16BIT_MODES and _tiff_tag(image, _TIFF_PHOTOMETRIC, 0)[0] == 0:
        return "samples of 16 bits with white as 0"
    planes = _tiff_tag(image, _TIFF_PLANES)[0] == 2
    if planes and sample_bits(image, b"") > 8 and image.info.get("compression") == "raw":
        return "uncompressed colour planes of 16 bits"
    return None


def _rgb(image: ImageFile.ImageFile) -> Pixels:
    if image.mode in _GREY_16BIT_MODES | {"I"}:
        largest = 4095 if image.tile and "I;12" in str(image.tile[0].args) else 65535
        values = np.asarray(image).astype(np.uint32)
        grey = ((values * 255 + largest // 2) // largest).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    image.load()
    image.info.pop("transparency", None)  # Pillow would warn that it is lost
    if image.mode == "La":  # grey multiplied by its alpha: Pillow knows one way out
        return np.asarray(image.convert("LA").convert("RGB"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _tiff_tag(image: ImageFile.ImageFile, tag: int, default: int = 1) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _jpeg2000_bits(data: bytes) -> list[int]:
    """Return the bits of each component from the SIZ segment, the codestream's first."""
    components = data.index(b"\xff\x4f\xff\x51") + 40
    count = int.from_bytes(data[components : components + 2], "big")
    depths = data[components + 2 : components + 2 + 3 * count : 3]
    return [(depth & 0x7F) + 1 for depth in depths]
