"""Targets: class ids as the spec says they are held, or the reason why not."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from encoded_images import encoded
from label_images import AS_PUBLISHED, PALETTE, read, refusal
from pipeline.datasets.encoded_image import EncodedImage
from pipeline.execution.prepare_job import prepare_job
from pipeline.images.targets import TargetReader
from pipeline.output.part_name import Part
from pipeline.spec.dataset_spec import LabelsSpec
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.segmenter import Segmenter
from pipeline.storage.storage import Storage
from refinenet_core import label_set
from refinenet_core.labels.palettes import voc_colours
from tiny_job import picture

COLOURS = LabelsSpec(encoding="colours")


@pytest.mark.parametrize(
    ("target", "spec", "message"),
    [
        (np.array([[0, 0, 0], [0, 7, 9]], np.uint8), AS_PUBLISHED,
         ("holds [7, 9], which is none of the 3 classes and not ignore_index 255; the first at "
          "x=1, y=1; if they stand for classes, say for which by `labels: {label_map: ...}`")),
        (np.array([[0, 1, 2], [0, 1, 3]], np.uint8), AS_PUBLISHED,
         "if 0 is unlabelled in it, write `labels: {reduce_zero_label: true}`"),
        (np.array([[0, 1, 11]], np.uint8), AS_PUBLISHED,
         "if that is unlabelled, write `ignore_index: 11`"),
        (np.array([[0, 70000, -4]], np.int32), AS_PUBLISHED, "holds [-4, 70000]"),
        (np.array([[0, 5]], np.uint8), LabelsSpec(label_map={0: 1}),
         "holds [5], which is none of the values in labels.label_map and not ignore_index 255"),
        (np.zeros((2, 3, 3), np.uint8), AS_PUBLISHED,
         ("mode RGB; expected class ids as grey values or as the indices of a palette; if its "
          "colours stand for the classes, write `labels: {encoding: colours}`")),
        (np.zeros((2, 3, 2), np.uint8), AS_PUBLISHED, "mode LA"),
        (np.zeros((2, 3), np.float32), AS_PUBLISHED, "mode F"),
        (np.array([[PALETTE[0], (1, 2, 3), (1, 2, 4)]], np.uint8), COLOURS,
         ("holds (1, 2, 3), (1, 2, 4), none of the colours of the 3 classes and not of unlabelled "
          "pixels; the first at x=1, y=0; if they are unlabelled, write "
          "`labels: {ignore_colours: [[1, 2, 3], [1, 2, 4]]}`")),
        (np.array([[(*PALETTE[0], 255), (*PALETTE[1], 254)]], np.uint8), COLOURS,
         "is transparent at x=1, y=0"),
        (np.zeros((2, 3), np.uint16), COLOURS, "16 bits; expected RGB of 8 bits"),
    ],
)  # fmt: skip
def test_a_bad_target_is_refused_with_values_place_and_remedy(target, spec, message):
    kind = "TIFF" if target.dtype in (np.int32, np.float32) else "PNG"

    assert message in refusal(encoded(target, kind), spec=spec)


def test_a_value_that_a_data_sets_masks_do_not_have_is_bad():
    reason = refusal(np.array([[7, 34, 200]], np.uint8), label_set("cityscapes"))

    assert "holds [34, 200], which is none of the 19 classes" in reason


def test_a_target_of_another_size_is_refused_by_its_header():
    claims = bytearray(encoded(np.zeros((3, 2), np.uint8)))
    claims[16:24] = struct.pack(">II", 9000, 8000)
    claims[29:33] = struct.pack(">I", zlib.crc32(bytes(claims[12:29])))

    assert refusal(bytes(claims), size=(2, 3)) == "target is 9000x8000 pixels, its image 3x2"


SHAPES = np.array([[0, 1, 2, 0], [1, 1, 2, 2], [2, 0, 0, 255]], np.uint8)


def turned(array, orientation):
    """Return an array as Pillow turns an image of that orientation."""
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("exif_applied", [True, False])
def test_a_target_is_turned_with_its_image_whichever_way_it_lies(orientation, exif_applied):
    upright = turned(SHAPES, orientation)
    predicted = upright if exif_applied else SHAPES

    for frame, target in (("stored", SHAPES), ("upright", upright)):
        ids = read(
            encoded(target),
            spec=LabelsSpec(frame=frame),
            size=predicted.shape,
            orientation=orientation,
            exif_applied=exif_applied,
        )
        np.testing.assert_array_equal(ids, predicted)


def test_a_target_of_a_turned_image_is_refused_until_the_spec_says_how_it_lies():
    reason = refusal(SHAPES, orientation=6, exif_applied=True)

    assert "EXIF orientation 6; write `labels: {frame: stored}` or `labels: {frame: upright}`" in (
        reason
    )


def test_a_target_that_lies_otherwise_than_the_spec_says_is_refused_where_sizes_tell():
    reason = refusal(
        SHAPES,
        spec=LabelsSpec(frame="upright"),
        size=SHAPES.T.shape,
        orientation=6,
        exif_applied=True,
    )

    assert reason == (
        "target is 4x3 pixels, its image 3x4 (by `labels: {frame: upright}`, the image's EXIF "
        "orientation being 6)"
    )


def test_the_frame_does_not_matter_where_an_image_was_stored_upright():
    for frame in (None, "stored", "upright"):
        np.testing.assert_array_equal(read(SHAPES, spec=LabelsSpec(frame=frame)), SHAPES)


@pytest.fixture(autouse=True)
def _pillows_limit():
    """A Segmenter sets Pillow's limit for its process."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


def segmented(tiny_job, pairs, **dataset):
    """Segment pairs of encoded image and target as a dataset of one part; return the rows."""
    tiny_job.dataset.update(dataset)
    storage = Storage()
    segmenter = Segmenter(prepare_job(tiny_job.validated(), storage, gpus=0), storage, threads=2)
    images = [
        EncodedImage(n, str(n), [], f"{n}.png", None, "ok", None, image, target)
        for n, (image, target) in enumerate(pairs)
    ]
    part = EncodedPart(Part("pictures", "shard", 0, len(images), "end"), images, 0.0)
    return segmenter.make_rows(part, StageSeconds())


def test_a_turned_image_is_scored_against_its_stored_target_in_colours(tiny_job):
    image, ids = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    colours = np.array([*voc_colours(4), (1, 1, 1)], np.uint8)
    target = encoded(colours[np.where(ids == 255, 4, ids)])
    decoded_target = Image.open(io.BytesIO(target))
    labels = {"encoding": "colours", "ignore_colours": [[1, 1, 1]], "frame": "stored"}
    pairs = [
        (encoded(image, exif=exif), target),
        (encoded(np.rot90(image, -1)), encoded(np.rot90(np.asarray(decoded_target), -1))),
    ]

    turned_row, upright_row = segmented(tiny_job, pairs, labels=labels)

    assert (turned_row.status, turned_row.flags) == ("ok", ["exif_applied"])
    assert (turned_row.height, turned_row.width) == (56, 40)
    assert (turned_row.stored_height, turned_row.stored_width) == (40, 56)
    assert turned_row.mask == upright_row.mask
    assert turned_row.confusion == upright_row.confusion
    assert turned_row.ignored_pixels == 2 * 56


def test_a_bad_target_keeps_its_prediction_and_is_not_scored(tiny_job):
    image, ids = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 3
    pairs = [
        (encoded(image, exif=exif), encoded(ids)),
        (encoded(image), b""),
        (encoded(image), None),
    ]

    rows = segmented(tiny_job, pairs)

    assert [row.status for row in rows] == ["bad_target", "bad_target", "missing_target"]
    assert "labels: {frame: stored}" in rows[0].error
    assert all(row.mask and row.confusion is None for row in rows)


def test_limits_of_size_and_time_are_the_datasets_and_harm_no_other_image(tiny_job):
    image, ids = picture(0)
    slow = b"P6 1500 1500 4095\n" + bytes(1500 * 1500 * 6)  # Pillow reads this in Python
    good = encoded(image), encoded(ids)
    large = encoded(np.zeros((1600, 1600, 3), np.uint8)), None
    decode = {"max_pixels": 1500 * 1500, "timeout_s": 0.4}
    [alone] = segmented(tiny_job, [good])

    rows = segmented(tiny_job, [(slow, None), large, good], decode=decode)

    assert Image.MAX_IMAGE_PIXELS == 1_125_000
    assert [row.status for row in rows] == ["crashed", "too_large", "ok"]
    assert rows[0].error == "took longer than 0.4 s to decode"
    assert rows[0].image_sha256
    assert "limit of 2250000 pixels" in rows[1].error
    assert (rows[2].mask, rows[2].confusion) == (alone.mask, alone.confusion)


def test_a_target_of_two_megapixels_is_read_without_sorting_it():
    """Sorting its values, as numpy.unique does, took longer than decoding it."""
    blocks = np.random.default_rng(0).integers(0, 34, (64, 128), dtype=np.uint8)
    data = encoded(blocks.repeat(16, axis=0).repeat(16, axis=1))
    reader = TargetReader(label_set("cityscapes"), AS_PUBLISHED)

    took_s = []
    for _ in range(5):
        start = time.perf_counter()
        reader.read(data, (1024, 2048))
        took_s.append(time.perf_counter() - start)

    assert min(took_s) < 0.1  # 14 ms on a core that has nothing else to do
