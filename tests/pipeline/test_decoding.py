"""Decoding: pixels that are right, or the reason why not."""

import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding import decode_image, decode_target
from pipeline.errors import DecodeError
from refinenet_core import LabelSet, label_set


def encoded(array, kind="PNG", **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def test_a_png_decodes_to_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)

    decoded = decode_image(encoded(pixels))

    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.stored_size, decoded.flags) == ((5, 7), [])


def test_the_exif_orientation_is_applied_and_flagged():
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90° clockwise

    decoded = decode_image(encoded(pixels, exif=exif))

    assert decoded.pixels.shape == (6, 4, 3)
    assert decoded.pixels[0, 3].tolist() == [255, 255, 255]
    assert (decoded.stored_size, decoded.flags) == ((4, 6), ["exif_applied"])


def test_grey_palette_and_alpha_images_become_rgb():
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    rgba = np.dstack([grey] * 3 + [np.full_like(grey, 7)])
    palette = Image.fromarray(grey // 100)
    palette.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1])

    assert decode_image(encoded(grey)).pixels[0, 1].tolist() == [100] * 3
    assert decode_image(encoded(rgba)).pixels[0, 1].tolist() == [100] * 3
    assert decode_image(encoded(rgba)).flags == ["alpha_dropped"]
    assert decode_image(encoded(palette)).pixels[0, 1].tolist() == [6, 5, 4]


def test_an_animation_gives_its_first_frame_and_a_flag():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    decoded = decode_image(data)

    assert decoded.pixels[0, 0].tolist() == [255, 0, 0]
    assert "first_frame" in decoded.flags


NOISE = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", "undecodable"),
        (b"<html>", "undecodable"),
        (encoded(NOISE)[: len(encoded(NOISE)) // 2], "undecodable"),
        (encoded(np.zeros((5, 5), np.uint16)), "unsupported"),
        (encoded(np.zeros((5, 5), np.float32), "TIFF"), "unsupported"),
    ],
)
def test_what_gives_no_faithful_picture_is_refused(data, status):
    with pytest.raises(DecodeError) as caught:
        decode_image(data)

    assert caught.value.status == status


def chunk(kind, data):
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def test_an_image_larger_than_the_limit_is_refused_before_it_is_decoded():
    side = (32768).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    with pytest.raises(DecodeError) as caught:
        decode_image(data)

    assert caught.value.status == "too_large"


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
def test_no_odd_image_does_worse_than_a_status(shared):
    folder = shared / "data" / "odd_images"
    facts = {fact["file"]: fact for fact in json.loads((folder / "index.json").read_text())}
    assert len(facts) > 50

    statuses = {}
    for name, fact in facts.items():
        statuses[name], size = outcome((folder / name).read_bytes())
        assert size in (None, tuple(fact.get("size", ())[::-1])), name

    readable = {name for name, fact in facts.items() if fact["rgb"] == "ok"}
    assert {name for name, status in statuses.items() if status == "ok"} <= readable
    assert {"ok", "undecodable", "unsupported"} <= set(statuses.values())
    assert set(statuses.values()) <= {"ok", "undecodable", "unsupported", "too_large"}


def outcome(data):
    try:
        return "ok", decode_image(data).stored_size
    except DecodeError as error:
        return error.status, None


THREE = LabelSet("three", ("a", "b", "c"), ((0, 0, 0),) * 3, ignore_index=255)


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("ade20k", [0, 1, 150], [255, 0, 149]),
        ("cityscapes", [7, 0, 33], [0, 255, 18]),
        ("camvid", [0, 10, 11], [0, 10, 11]),
        ("pascal_context_59", [59, 0, 255], [58, 255, 255]),
    ],
)
def test_published_masks_are_read_as_their_data_set_encodes_them(name, stored, expected):
    target = encoded(np.array([stored], dtype=np.uint8))

    assert decode_target(target, (1, 3), label_set(name)).tolist() == [expected]


def test_a_value_that_a_data_sets_masks_do_not_have_is_a_bad_target():
    with pytest.raises(DecodeError, match=r"holds \[34, 200\], which is none of the 19 classes"):
        decode_target(encoded(np.array([[7, 34, 200]], np.uint8)), (1, 3), label_set("cityscapes"))


def test_a_target_may_be_grey_or_palette_and_keeps_its_indices():
    labels = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)
    palette = Image.fromarray(labels)
    palette.putpalette(list(range(256)) * 3)

    for image in (Image.fromarray(labels), palette):
        decoded = decode_target(encoded(image), (2, 3), THREE)
        np.testing.assert_array_equal(decoded, labels)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((3, 2), np.uint8), "target is 2x3 pixels, its image 3x2"),
        (np.array([[0, 0, 0], [0, 7, 9]], np.uint8), r"\[7, 9\].*first at x=1, y=1"),
        (np.zeros((2, 3, 3), np.uint8), "mode RGB"),
    ],
)
def test_a_bad_target_is_refused_with_values_and_place(target, message):
    with pytest.raises(DecodeError, match=message) as caught:
        decode_target(encoded(target), (2, 3), THREE)

    assert caught.value.status == "bad_target"
