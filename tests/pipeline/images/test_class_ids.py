"""Label images: what they hold, as it is stored, and what that stands for."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from encoded_images import encoded, with_palette
from label_images import IDS, PALETTE, read, refusal
from pipeline.spec.dataset_spec import LabelsSpec
from refinenet_core import LabelSet, label_set

INDICES = LabelsSpec(encoding="indices")
COLOURS = LabelsSpec(encoding="colours")
REDUCED = LabelsSpec(reduce_zero_label=True)


@pytest.mark.parametrize(
    "data",
    [
        encoded(IDS),
        encoded(IDS.astype(np.uint16)),
        encoded(IDS.astype(np.uint16), "TIFF"),
        encoded(Image.frombytes("I;16B", (3, 2), IDS.astype(">u2").tobytes()), "TIFF"),
        encoded(IDS.astype(np.int32), "TIFF"),
        encoded(IDS, "TIFF", compression="tiff_lzw"),
        encoded(IDS, "BMP"),
        encoded(IDS, "PPM"),
        encoded(with_palette(IDS, [(9, 9, 9)] * 256)),
        encoded(with_palette(IDS, [(9, 9, n) for n in range(256)]), "GIF", optimize=False),
        encoded(with_palette(IDS, [(9, 9, 9)] * 256), transparency=0),
        b"P5 3 2 999\n" + IDS.astype(">u2").tobytes(),
        b"P2 3 2 300\n0 1 2 255 1 0\n",
    ],
)
def test_indices_are_read_as_they_are_stored_in_every_format(data):
    ids = read(data)

    np.testing.assert_array_equal(ids, IDS)
    assert ids.dtype == np.uint8


def test_a_pgm_of_few_values_is_not_spread_over_8_bits():
    """Pillow scales a PGM by its largest value: class 2 of 0 to 2 came out as 255."""
    assert read(b"P5 3 1 2\n\0\1\2").tolist() == [[0, 1, 2]]


def test_targets_of_one_bit_and_small_palettes_keep_their_indices():
    bits = np.array([[True, False, True]])

    assert read(encoded(bits)).tolist() == [[1, 0, 1]]
    assert read(encoded(with_palette(np.array([[2, 0, 1]], np.uint8), PALETTE))).tolist() == [
        [2, 0, 1]
    ]


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("voc", [0, 20, 255], [0, 20, 255]),
        ("ade20k", [0, 1, 150], [255, 0, 149]),
        ("cityscapes", [7, 0, 33], [0, 255, 18]),
        ("camvid", [0, 10, 11], [0, 10, 11]),
        ("pascal_context_59", [59, 0, 255], [58, 255, 255]),
    ],
)
def test_published_masks_are_read_as_their_data_set_encodes_them(name, stored, expected):
    assert read(np.array([stored], np.uint8), label_set(name)).tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "spec", "stored", "expected"),
    [
        ("ade20k", INDICES, [0, 149, 255], [0, 149, 255]),
        ("cityscapes", INDICES, [0, 18, 255], [0, 18, 255]),
        ("ade20k", REDUCED, [0, 1, 150, 255], [255, 0, 149, 255]),  # shifted once
        ("voc", REDUCED, [0, 1, 21, 255], [255, 0, 20, 255]),
        ("camvid", REDUCED, [0, 1, 11], [11, 0, 10]),
        ("cityscapes", LabelsSpec(label_map={7: 3, 9: 255}), [7, 9, 255], [3, 255, 255]),
        ("voc", LabelsSpec(label_map={255: 1, 1000: 2}), [255, 255, 1000], [1, 1, 2]),
    ],
)
def test_the_spec_says_what_values_stand_for(name, spec, stored, expected):
    assert read(np.array([stored], np.uint16), label_set(name), spec).tolist() == [expected]


def test_voc_masks_and_their_drawings_in_colour_give_the_same_ids(shared):
    files = sorted((shared / "data" / "voc" / "SegmentationClass").glob("*.png"))
    assert files
    for file in files:
        mask = Image.open(file)
        stored = np.asarray(mask)
        for drawing in (mask.convert("RGB"), mask.convert("RGBA"), mask):
            ids = read(encoded(drawing), label_set("voc"), COLOURS)
            np.testing.assert_array_equal(ids, stored)
        np.testing.assert_array_equal(read(file.read_bytes(), label_set("voc")), stored)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "TGA", "WEBP", "GIF"])
def test_colours_are_read_from_every_format_that_keeps_them(kind):
    target = np.array([PALETTE], np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}

    assert read(encoded(target, kind, **options), spec=COLOURS).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("name", "colour"),
    [("voc", (224, 224, 192)), ("cityscapes", (0, 0, 0)), ("cityscapes", (250, 170, 160)),
     ("camvid", (0, 0, 0))],
)  # fmt: skip
def test_the_data_sets_own_colours_of_void_are_unlabelled(name, colour):
    labels = label_set(name)

    ids = read(np.array([[colour, labels.colours[3]]], np.uint8), labels, COLOURS)

    assert ids.tolist() == [[labels.ignore_index, 3]]


def test_the_specs_colours_of_void_replace_the_data_sets():
    spec = LabelsSpec(encoding="colours", ignore_colours=((1, 2, 3),))

    assert read(np.array([[(1, 2, 3)]], np.uint8), label_set("voc"), spec).tolist() == [[255]]
    assert "(224, 224, 192)" in refusal(
        np.array([[(224, 224, 192)]], np.uint8), label_set("voc"), spec
    )


def test_a_grey_or_palette_file_can_hold_colours_too():
    labels = LabelSet("two", ("dark", "light"), ((0, 0, 0), (200, 200, 200)), 255)
    ids = np.array([[0, 1], [1, 0]], np.uint8)

    assert read(encoded(ids * 200), labels, COLOURS).tolist() == ids.tolist()
    assert (
        read(encoded(with_palette(ids, [(200, 200, 200), (0, 0, 0)])), labels, COLOURS).tolist()
        == (1 - ids).tolist()
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "target: in no known image format"),
        (encoded(np.zeros((90, 90), np.uint8))[:60], "target: "),
        (encoded(IDS, "JPEG"), "JPEG compressed with loss"),
        (encoded(np.zeros((16, 16), np.uint8), "TIFF", compression="jpeg"), "TIFF compressed with"),
        (b"P4 8 1\n\xf0", "white as 0"),
        (encoded(IDS, "TIFF", tiffinfo={262: 0}), "white as 0"),
        (encoded(IDS, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
         "has EXIF orientation 6 of its own"),
    ],
)  # fmt: skip
def test_what_may_mean_something_else_than_it_says_is_refused(data, message):
    size = Image.open(io.BytesIO(data)).size[::-1] if data else (2, 3)

    assert message in refusal(data, size=size)


def test_grey_of_4_bits_is_refused_since_pillow_multiplies_it():
    data = encoded(with_palette(np.array([[0, 1, 2, 3]], np.uint8), [(n,) * 3 for n in range(16)]))
    grey = bytearray(data)
    grey[25] = 0  # colour type: grey instead of palette
    header = bytes(grey[12:29])
    grey[29:33] = struct.pack(">I", zlib.crc32(header))

    assert read(data, LabelSet("four", tuple("abcd"), (*PALETTE, (1, 1, 1)), 255)).tolist() == [
        [0, 1, 2, 3]
    ]
    assert "2 or 4 bits" in refusal(bytes(grey))
