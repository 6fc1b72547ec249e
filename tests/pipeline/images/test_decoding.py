"""Decoding: pixels that are right, or the reason why not."""

import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageOps

from encoded_images import encoded
from pipeline.errors import DecodeError
from pipeline.images.decoding import allow_pixels, decode_image, sample_bits, stored_pixels, turn
from pipeline.spec.dataset_spec import DecodeSpec

UPRIGHT = DecodeSpec()
AS_STORED = DecodeSpec(exif_transpose=False)
NOISE = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
WIDE = np.random.default_rng(1).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
TO_8_BITS = [(0, 0), (128, 0), (129, 1), (257, 1), (32768, 128), (65406, 254), (65535, 255)]


def chunk(kind, data):
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def png(samples, colour_type, *, width=None, height=None):
    """Return a 16-bit PNG of samples (H, W) or (H, W, C), or one that only claims its size."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    width, height = width or samples.shape[1], height or samples.shape[0]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def tiff(samples, *, bits, photometric, planar=False, sample_format=1, extra=None, packed=None):
    """Return an uncompressed little-endian TIFF of samples (H, W) or (H, W, C)."""
    height, width, channels = np.atleast_3d(samples).shape
    planes = [samples[..., c] for c in range(channels)] if planar else [samples]
    strips = [packed] if packed else [plane.tobytes() for plane in planes]
    tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [1], 262: [photometric]}
    tags |= {277: [channels], 278: [height], 284: [2 if planar else 1], 339: [sample_format]}
    if extra is not None:
        tags[338] = [extra]
    tags[273] = [8 + sum(map(len, strips[:position])) for position in range(len(strips))]
    tags[279] = [len(strip) for strip in strips]
    behind = 8 + sum(map(len, strips)) + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        value = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            value, values = struct.pack("<I", behind + len(values)), values + value
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + value
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + values
    return struct.pack("<2sHI", b"II", 42, 8 + sum(map(len, strips))) + b"".join(strips) + directory


def refusal(data, spec=UPRIGHT):
    with pytest.raises(DecodeError) as caught:
        decode_image(data, spec)
    return caught.value


def test_a_png_decodes_to_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)

    decoded = decode_image(encoded(pixels), UPRIGHT)

    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert (decoded.stored_size, decoded.orientation, decoded.flags) == ((5, 7), 1, [])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_or_left_as_the_spec_says(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    pixels = NOISE[:16, :24].repeat(8, axis=0).repeat(8, axis=1)
    data = encoded(pixels, kind, exif=exif, **options)
    stored = np.asarray(Image.open(io.BytesIO(encoded(pixels, kind, **options))).convert("RGB"))
    oracle = Image.fromarray(stored)
    oracle.getexif()[0x0112] = orientation

    upright, as_stored = decode_image(data, UPRIGHT), decode_image(data, AS_STORED)

    np.testing.assert_array_equal(upright.pixels, np.asarray(ImageOps.exif_transpose(oracle)))
    np.testing.assert_array_equal(as_stored.pixels, stored)
    assert upright.flags == (["exif_applied"] if orientation > 1 else [])
    assert as_stored.flags == []
    for decoded in (upright, as_stored):
        assert (decoded.stored_size, decoded.orientation) == ((128, 192), orientation)


def test_a_compressed_tiff_is_turned_once_though_pillow_turns_it_while_loading():
    tags = {"tiffinfo": {0x0112: 6}, "compression": "tiff_lzw"}
    data = encoded(NOISE[:3, :4], "TIFF", **tags)

    np.testing.assert_array_equal(decode_image(data, UPRIGHT).pixels, turn(NOISE[:3, :4], 6))
    np.testing.assert_array_equal(decode_image(data, AS_STORED).pixels, NOISE[:3, :4])


@pytest.mark.filterwarnings("ignore")  # Pillow warns of the EXIF data
def test_exif_data_beyond_reading_costs_a_flag_and_no_pixels():
    data = encoded(NOISE, "PNG", exif=b"Exif\0\0not a TIFF header")

    decoded = decode_image(data, UPRIGHT)

    np.testing.assert_array_equal(decoded.pixels, NOISE)
    assert (decoded.orientation, decoded.flags) == (1, ["exif_unreadable"])


def test_grey_palette_and_alpha_images_become_rgb():
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    rgba = np.dstack([grey] * 3 + [np.full_like(grey, 7)])
    palette = Image.fromarray(grey // 100)
    palette.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1])
    bits = Image.fromarray(grey > 150)

    assert decode_image(encoded(grey), UPRIGHT).pixels[0, 1].tolist() == [100] * 3
    assert decode_image(encoded(rgba), UPRIGHT).pixels[0, 1].tolist() == [100] * 3
    assert decode_image(encoded(palette), UPRIGHT).pixels[0, 1].tolist() == [6, 5, 4]
    assert decode_image(encoded(bits), UPRIGHT).pixels[:, 0].tolist() == [[0] * 3, [255] * 3]


def test_alpha_is_dropped_with_a_flag_in_whatever_form_it_comes():
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    palette = Image.fromarray(grey // 100)
    palette.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1])
    multiplied = np.array([[[50, 128], [0, 255]]], np.uint8)

    for data in (
        encoded(np.dstack([grey] * 3 + [grey])),
        encoded(np.dstack([grey, grey])),
        encoded(palette, transparency=bytes([0, 128, 255])),
        encoded(np.dstack([grey] * 3), transparency=(1, 2, 3)),
    ):
        assert decode_image(data, UPRIGHT).flags == ["alpha_dropped"]
    decoded = decode_image(tiff(multiplied, bits=8, photometric=1, extra=1), UPRIGHT)
    assert decoded.pixels[..., 0].tolist() == [[99, 0]]  # 50 of 128, by Pillow, rounded down
    assert decoded.flags == ["alpha_dropped"]


def test_cmyk_becomes_rgb_with_a_flag():
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # cyan

    for kind, tolerance in (("TIFF", 0), ("JPEG", 3)):
        decoded = decode_image(encoded(image, kind), UPRIGHT)
        np.testing.assert_allclose(decoded.pixels[8, 8], [0, 255, 255], atol=tolerance)
        assert decoded.flags == ["cmyk_converted"]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken_with_a_flag(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)

    decoded = decode_image(data, UPRIGHT)

    assert decoded.pixels[0, 0].tolist() == [255, 0, 0]
    assert "first_frame" in decoded.flags


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000", "big-endian TIFF"])
def test_grey_of_16_bits_is_scaled_not_saturated(kind):
    """Pillow's own conversion makes every value above 255 white."""
    values = np.array([[value for value, _ in TO_8_BITS]], np.uint16)
    image = Image.fromarray(values)
    if kind == "big-endian TIFF":
        image = Image.frombytes("I;16B", image.size, values.astype(">u2").tobytes())

    decoded = decode_image(encoded(image, kind.split()[-1]), UPRIGHT)

    assert decoded.pixels.tolist() == [[[expected] * 3 for _, expected in TO_8_BITS]]
    assert decoded.flags == ["scaled_16bit"]


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        (b"P5 3 1 1023\n", [0, 512, 1023], [[0] * 3, [128] * 3, [255] * 3]),
        (b"P5 3 1 4095\n", [4095, 2047, 8], [[255] * 3, [127] * 3, [0] * 3]),
        (b"P6 1 1 4095\n", [4095, 2048, 9], [[255, 128, 1]]),
        (b"P6 1 1 65535\n", [65535, 257, 128], [[255, 1, 0]]),
    ],
)
def test_a_pnm_is_scaled_by_its_own_largest_value(header, values, expected):
    decoded = decode_image(header + np.array(values, ">u2").tobytes(), UPRIGHT)

    assert decoded.pixels.tolist() == [expected]
    assert decoded.flags == ["scaled_16bit"]


def test_a_tiff_of_12_bits_is_scaled_by_4095():
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x10])  # 4095, 0, 2048, 16

    decoded = decode_image(
        tiff(np.zeros((1, 4), np.uint16), bits=12, photometric=1, packed=packed), UPRIGHT
    )

    assert decoded.pixels[0, :, 0].tolist() == [255, 0, 128, 1]
    assert decoded.flags == ["scaled_16bit"]


@pytest.mark.parametrize(
    ("data", "flags"),
    [
        (png(WIDE, 2), ["scaled_16bit"]),
        (png(np.dstack([WIDE, WIDE[..., 0]]), 6), ["alpha_dropped", "scaled_16bit"]),
        (tiff(WIDE, bits=16, photometric=2), ["scaled_16bit"]),
    ],
)
def test_colours_of_16_bits_give_their_high_bytes_and_a_flag(data, flags):
    decoded = decode_image(data, UPRIGHT)

    np.testing.assert_array_equal(decoded.pixels, WIDE >> 8)
    assert decoded.flags == flags
    rounded = (WIDE.astype(np.int64) * 255 + 32767) // 65535
    assert np.abs(decoded.pixels - rounded).max() == 1


def test_grey_and_alpha_of_16_bits_give_high_bytes_and_both_flags():
    decoded = decode_image(png(WIDE[..., :2], 4), UPRIGHT)

    np.testing.assert_array_equal(decoded.pixels[..., 1], WIDE[..., 0] >> 8)
    assert decoded.flags == ["alpha_dropped", "scaled_16bit"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(np.zeros((5, 5), np.float32), "TIFF"), "floating-point.*convert to 8 or 16"),
        (encoded(np.zeros((5, 5), np.int32), "TIFF"), "signed or 32-bit"),
        (tiff(WIDE[..., 0], bits=16, photometric=1, sample_format=2), "signed"),
        (tiff(NOISE[..., 0].copy(), bits=8, photometric=1, sample_format=2), "signed"),
        (tiff(WIDE[..., 0].copy(), bits=16, photometric=0), "white as 0"),
        (tiff(WIDE, bits=16, photometric=2, planar=True), "planes of 16 bits"),
        (encoded(Image.new("LAB", (5, 5)), "TIFF"), "mode LAB"),
        (encoded(NOISE, "SGI"), "SGI images are not read"),
    ],
)
def test_what_pillow_would_misread_is_unsupported_with_the_remedy(data, reason):
    error = refusal(data)

    assert error.status == "unsupported"
    assert re.search(reason, error.reason)


CUT = {
    "PNG": encoded(NOISE),
    "JPEG": encoded(NOISE, "JPEG", quality=95),
    "GIF": encoded(NOISE, "GIF"),
    "TIFF": encoded(NOISE, "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(NOISE, "WEBP"),
    "BMP": encoded(NOISE, "BMP"),
    "PPM": encoded(NOISE, "PPM"),
    "JPEG2000": encoded(NOISE, "JPEG2000"),
    "AVIF": encoded(NOISE, "AVIF"),
}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_file_is_undecodable_in_every_format(kind, share):
    data = CUT[kind]

    assert decode_image(data, UPRIGHT).pixels.shape == (50, 50, 3)
    assert refusal(data[: int(share * len(data))]).status == "undecodable"


def test_what_is_said_of_bytes_that_are_no_image_is_the_same_in_every_run():
    """Pillow names the address of its buffer, which made rows differ from run to run."""
    assert refusal(b"<html>").reason == "in no known image format, or damaged at its head"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_larger_than_the_limit_is_refused_by_its_header_alone(kind):
    huge = png(np.zeros((1, 1, 3)), 2, width=32768, height=32768)
    jpeg = encoded(NOISE, "JPEG")
    data = huge if kind == "PNG" else jpeg[: jpeg.index(b"\xff\xda") + 14]
    limit = DecodeSpec() if kind == "PNG" else DecodeSpec(max_pixels=2499)

    error = refusal(data, limit)

    assert error.status == "too_large"
    if kind == "JPEG":
        assert error.reason == "50x50 pixels are more than decode.max_pixels, 2499"
    with pytest.raises(DecodeError):
        stored_pixels(data, limit)


def test_an_image_at_the_limit_is_decoded():
    assert decode_image(encoded(NOISE), DecodeSpec(max_pixels=2500)).stored_size == (50, 50)
    assert stored_pixels(encoded(NOISE), DecodeSpec(max_pixels=2500)) == 2500


@pytest.fixture
def pillows_limit():
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


@pytest.mark.usefixtures("pillows_limit")
@pytest.mark.filterwarnings("ignore")  # Pillow warns from half of the limit on
def test_pillows_own_limit_gives_way_to_the_specs():
    side = (1 << 15) - 1
    header = png(np.zeros((1, 1, 3)), 2, width=side, height=side)
    spec = DecodeSpec(max_pixels=1 << 30)
    assert refusal(header, spec).status == "too_large"

    allow_pixels(spec.max_pixels)

    assert stored_pixels(header, spec) == side * side


@pytest.mark.usefixtures("pillows_limit")
def test_a_frame_larger_than_its_header_says_is_too_large():
    data = bytearray(encoded(NOISE, "GIF"))
    colours = 3 * 2 ** ((data[10] & 7) + 1)
    place = data.index(b"\x2c", 13 + colours)  # the frame's place and size stand behind
    data[place + 5 : place + 9] = struct.pack("<HH", 2000, 2000)
    allow_pixels(1_000_000)

    assert refusal(bytes(data), DecodeSpec(max_pixels=1_000_000)).status == "too_large"


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
def test_whatever_is_damaged_in_a_file_its_row_gets_a_status():
    rng = np.random.default_rng(0)
    seen = set()
    for number in range(300):
        data = bytearray(list(CUT.values())[number % len(CUT)])
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] ^= 1 << int(rng.integers(8))
        seen.add(outcome(bytes(data))[0])
    assert {"ok", "undecodable"} <= seen <= {"ok", "undecodable", "unsupported", "too_large"}


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
    assert {name for name, status in statuses.items() if status == "ok"} == readable - {
        "pillow__hopper.pfm",  # floating-point, which Pillow clips
        "spng__badcrc.png",  # Pillow does not read the checksum
    }
    assert set(statuses.values()) == {"ok", "undecodable", "unsupported"}


def outcome(data):
    try:
        return "ok", decode_image(data, UPRIGHT).stored_size
    except DecodeError as error:
        return error.status, None


# What torchvision cannot be asked: it knows no animated WebP, and reads no orientation from a WebP
# or from a PNG in ImageMagick's old manner.
UNASKED = {
    "syn__anim3.webp",
    "pillow__hopper_orientation_6.webp",
    "pillow__exif_imagemagick_orientation.png",
}


@pytest.mark.filterwarnings("ignore")  # Pillow's repairs, and torchvision's deprecation
def test_pixels_are_the_ones_that_an_independent_decoder_gives(shared):
    """Equal for 8 bits; of 16 bits within 1 of torchvision's, rounded."""
    if not hasattr(torchvision.io, "decode_image"):
        pytest.skip("torchvision no longer decodes images; 0.29 announced it")
    files = [*(shared / "data/odd_images").iterdir(), *(shared / "data/voc/JPEGImages").iterdir()]
    compared = {8: 0, 16: 0}
    for path in files:
        data = path.read_bytes()
        kinds = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF")
        if not data.startswith(kinds) or path.name in UNASKED or outcome(data)[0] != "ok":
            continue
        other = torchvision.io.decode_image(
            torch.frombuffer(bytearray(data), dtype=torch.uint8),
            mode=torchvision.io.ImageReadMode.RGB,
            apply_exif_orientation=True,
        )
        other = (other[0] if other.ndim == 4 else other).permute(1, 2, 0).numpy()
        bits = 8 * other.dtype.itemsize

        decoded = decode_image(data, UPRIGHT)

        expected = other if bits == 8 else (other.astype(np.int64) * 255 + 32767) // 65535
        difference = np.abs(expected.astype(int) - decoded.pixels).max()
        assert difference <= (bits > 8), path.name
        assert ("scaled_16bit" in decoded.flags) == (bits > 8), path.name
        compared[bits] += 1
    assert compared[8] >= 45
    assert compared[16] >= 5


def test_an_avif_says_in_its_header_when_its_samples_have_more_than_8_bits():
    """Pillow gives 8 without a word. Nothing here writes such a file, so its header is made up."""
    data = encoded(NOISE, "AVIF")
    place = data.index(b"av1C") + 6  # seq_tier, high_bitdepth, twelve_bit, ...
    deep = data[:place] + bytes([data[place] | 0x40]) + data[place + 1 :]

    assert sample_bits(Image.open(io.BytesIO(data)), data) == 8
    assert sample_bits(Image.open(io.BytesIO(data)), deep) == 10


def test_a_jpeg_2000_says_in_its_header_how_many_bits_its_samples_have():
    grey = encoded(np.zeros((4, 4), np.uint16), "JPEG2000")
    colour = encoded(NOISE, "JPEG2000")

    assert sample_bits(Image.open(io.BytesIO(grey)), grey) == 16
    assert sample_bits(Image.open(io.BytesIO(colour)), colour) == 8
