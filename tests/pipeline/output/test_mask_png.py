"""The PNG of a mask: class ids in, the same class ids out, or the reason why not."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.output.mask_png import encode_mask, read_mask
from refinenet_core.labels.palettes import png_palette, voc_colours

LABELS = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
MASK = encode_mask(LABELS, png_palette(voc_colours(3)))


def test_pixel_values_are_the_class_ids_and_the_palette_their_colours():
    image = Image.open(io.BytesIO(MASK))

    np.testing.assert_array_equal(read_mask(MASK, 2, 3), LABELS)
    np.testing.assert_array_equal(np.asarray(image), LABELS)
    assert (image.format, image.mode) == ("PNG", "P")
    assert image.convert("RGB").getpixel((1, 0)) == voc_colours(3)[1]


def grey():
    buffer = io.BytesIO()
    Image.fromarray(LABELS).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (MASK, (3, 2), "it is 3x2 of mode P, and is stated to be 2x3 with a palette"),
        (MASK, (None, None), "stated to be NonexNone"),
        (grey(), (2, 3), "of mode L"),
        (MASK[:-30], (2, 3), "truncated|unpack"),
        (b"", (2, 3), "not a PNG file"),
        (b"GIF89a", (2, 3), "not a PNG file"),
    ],
)
def test_what_is_no_whole_mask_of_its_size_is_refused(data, size, message):
    with pytest.raises(DecodeError, match=message) as caught:
        read_mask(data, *size)

    assert caught.value.status == "undecodable"
