"""The PNG of a mask: a label map whose pixel values are the class ids."""

import io
from contextlib import closing

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from pipeline.errors import DecodeError
from pipeline.images.decoding import guard, refuse_damaged


def encode_mask(labels: npt.NDArray[np.uint8], palette: bytes) -> bytes:
    """Return a label map (H, W) as a palette PNG whose pixel values are the class ids."""
    image = Image.fromarray(labels)
    image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def read_mask(data: bytes, height: int | None, width: int | None) -> npt.NDArray[np.uint8]:
    """Return a mask's class ids, shape (height, width).

    Raises:
        DecodeError: It is no whole palette PNG of this size.
    """
    # Pillow's own limit is about images of unknown size: `open` would warn of large ones.
    with closing(guard(lambda: PngImageFile(io.BytesIO(data)))) as image:
        if image.mode != "P" or (image.height, image.width) != (height, width):
            raise DecodeError(
                "undecodable",
                f"it is {image.width}x{image.height} of mode {image.mode}, and is stated to be "
                f"{width}x{height} with a palette",
            )
        refuse_damaged(data)
        labels: npt.NDArray[np.uint8] = guard(lambda: np.asarray(image))
    return labels
