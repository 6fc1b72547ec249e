"""The check of one part file: what it says it is, and what its rows say of their masks."""

import io
import random
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from parquet_pages import page
from pipeline.output.check_part import PartRules, check_part
from pipeline.output.mask_png import encode_mask
from pipeline.output.mask_table import MaskRow, class_pixels, sparse_confusion
from pipeline.output.part_file import part_file
from pipeline.output.part_name import Part
from refinenet_core import confusion_matrix
from refinenet_core.labels.palettes import png_palette, voc_colours

FINGERPRINT = {"model": "m", "scales": [0.75, 1.0], "datasets": [{"name": "d"}]}


PART = Part("d", "file:///in/images#000000", 0, 3, "end")


SIZES = [(8, 12), (12, 8), (9, 9)]  # height, width


def make_rows():
    """Return the rows of a part of three scored images."""
    rng = np.random.default_rng(0)
    rows = []
    for index, (height, width) in enumerate(SIZES):
        labels = rng.integers(0, 4, (height, width), dtype=np.uint8)
        target = rng.integers(0, 4, (height, width), dtype=np.uint8)
        target[0] = 255
        counts = confusion_matrix(labels, target, num_classes=4)
        name = f"picture-{index:02d}.png"
        row = MaskRow(PART.shard, index, name, f"file:///in/{name}", f"file:///targets/{name}")
        row.height, row.width = row.stored_height, row.stored_width = height, width
        row.mask = encode_mask(labels, png_palette(voc_colours(4)))
        row.class_pixels = class_pixels(labels)
        row.confidence = 0.5 + index / 7
        row.confusion = sparse_confusion(counts)
        row.ignored_pixels = width
        row.image_sha256 = f"{index:064x}"
        rows.append(row)
    return rows


RULES = PartRules(FINGERPRINT, num_classes=4, has_targets=True, protocol="native")


def problem_of(rows, rules=RULES):
    part = replace(PART, images=len(rows))
    return check_part(part_file(rows, part, FINGERPRINT), part.file_name, rules, None).problem


def meaning(data):
    """Return all that readers take from a part file: its table, metadata and statistics."""
    file = pq.ParquetFile(io.BytesIO(data))
    group = file.metadata.row_group(0)
    stated = [group.column(place).statistics for place in range(group.num_columns)]
    ranges = [found and found.has_min_max and (found.min, found.max) for found in stated]
    return file.read(), file.schema_arrow.metadata, ranges


def test_a_bit_flipped_anywhere_is_found_or_changes_nothing_that_readers_take():
    """What may go unseen: ranges in page headers, and of the footer what repeats or describes.

    That is encodings, uncompressed sizes, histograms, the ranges' older form, the writer's name.
    """
    data = part_file(make_rows(), PART, FINGERPRINT)
    table, metadata, ranges = meaning(data)
    drawn = random.Random(0)  # noqa: S311 - positions, not secrets
    unseen, positions = 0, [*range(16), *range(len(data) - 16, len(data))]
    positions += drawn.sample(range(len(data)), 800)

    for position in positions:
        flipped = bytearray(data)
        flipped[position] ^= 1 << drawn.randrange(8)
        if check_part(bytes(flipped), PART.file_name, RULES, None).problem is not None:
            continue
        unseen += 1
        found_table, found_metadata, found_ranges = meaning(bytes(flipped))
        assert found_table.equals(table), position
        assert found_metadata == metadata, position
        for found, stated in zip(found_ranges, ranges, strict=True):
            assert not found or found == stated, position

    assert unseen < 0.4 * len(positions)


def test_a_bit_flipped_in_a_page_is_always_found():
    data = part_file(make_rows(), PART, FINGERPRINT)

    for column in ("mask", "key", "confidence", "index"):
        first, end = page(data, column)
        for position in range(first, end, 3):
            flipped = bytearray(data)
            flipped[position] ^= 1 << position % 8
            problem = check_part(bytes(flipped), PART.file_name, RULES, None).problem
            assert problem is not None, (column, position)


def mask_of_another_size(row):
    row.height += 1


def mask_with_a_wrong_checksum(row):
    place = row.mask.index(b"IDAT") + 10
    row.mask = row.mask[:place] + bytes([row.mask[place] ^ 1]) + row.mask[place + 1 :]


def mask_without_palette(row):
    buffer = io.BytesIO()
    Image.new("RGB", (row.width, row.height)).save(buffer, format="PNG")
    row.mask = buffer.getvalue()


def mask_that_is_no_png(row):
    row.mask = b"GIF89a"


def mask_with_another_pixel(row):
    labels = np.array(Image.open(io.BytesIO(row.mask)))
    labels[0, 0] = (labels[0, 0] + 1) % 4
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))


def mask_with_a_class_that_is_none(row):
    labels = np.full((row.height, row.width), 4, dtype=np.uint8)
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))
    row.class_pixels = class_pixels(labels)


def mask_missing(row):
    row.mask = None


def other_class_pixels(row):
    row.class_pixels[0]["pixels"] += 1


def more_in_confusion_than_in_the_mask(row):
    row.confusion = [{"target": 0, "prediction": 0, "pixels": row.height * row.width}]
    row.ignored_pixels = 0


def pixels_that_confusion_lacks(row):
    row.ignored_pixels -= 1


def target_outside_the_classes(row):
    row.confusion[0]["target"] = 4


def cell_twice(row):
    first = max(row.confusion, key=lambda cell: cell["pixels"])
    row.confusion.remove(first)
    row.confusion += [dict(first, pixels=1), dict(first, pixels=first["pixels"] - 1)]


def not_scored(row):
    row.confusion = row.ignored_pixels = None


def scored_though_bad(row):
    row.status = "bad_target"


def counts_without_a_mask(row):
    row.mask, row.status = None, "model_error"


def flagged_cropped(row):
    row.flags.append("cropped")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (mask_of_another_size, "stated to be 8x13 with a palette"),
        (mask_with_a_wrong_checksum, "wrong checksum of the PNG's pixels"),
        (mask_without_palette, "of mode RGB"),
        (mask_that_is_no_png, "has a mask that cannot be read"),
        (mask_with_another_pixel, "has `class_pixels` that its mask does not have"),
        (mask_with_a_class_that_is_none, "has class 4 in its mask, of 4 classes"),
        (mask_missing, "is ok but has no mask"),
        (other_class_pixels, "has `class_pixels` that its mask does not have"),
        (more_in_confusion_than_in_the_mask, "more pixels of a class in `confusion`"),
        (pixels_that_confusion_lacks, "has 95 pixels in `confusion` and `ignored_pixels`, 96"),
        (target_outside_the_classes, "pixels of class 4 in `confusion`"),
        (cell_twice, "has a cell of `confusion` twice"),
        (not_scored, "has status 'ok' and is not scored"),
        (scored_though_bad, "has status 'bad_target' and is scored"),
        (counts_without_a_mask, "has counts but no mask"),
        (flagged_cropped, "is flagged `cropped`"),
    ],
)
def test_a_row_that_contradicts_itself_is_found(change, words):
    rows = make_rows()
    assert problem_of(rows) is None

    change(rows[1])

    problem = problem_of(rows)
    assert problem.startswith("row 1 ")
    assert words in problem


def test_rows_without_a_prediction_are_right_if_they_have_no_counts():
    rows = make_rows()
    rows[1] = replace(rows[1], mask=None, class_pixels=None, confidence=None)
    rows[1] = replace(rows[1], confusion=None, ignored_pixels=None)

    rows[1].fail("undecodable", "not an image")

    assert problem_of(rows) is None


def fixed_rows(*, outside=255, flags=("cropped",)):
    """Return a row of the protocol that looks at the central square, of an image of 8x12."""
    labels = np.full((8, 12), outside, dtype=np.uint8)
    labels[:, 2:10] = 3
    row = make_rows()[0]
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))
    row.class_pixels = [{"class": 3, "pixels": 64}]
    row.confusion = [{"target": 1, "prediction": 3, "pixels": 60}]
    row.ignored_pixels = 36
    row.flags += flags
    return [row]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (fixed_rows(), None),
        (fixed_rows(outside=0), "where the protocol fixed does not look"),
        (fixed_rows(flags=()), "not flagged where it is"),
    ],
)
def test_outside_a_protocols_region_a_mask_holds_255_and_nothing_else(rows, words):
    problem = problem_of(rows, replace(RULES, protocol="fixed"))

    assert problem is None if words is None else words in problem


def test_without_its_protocol_255_is_no_class():
    assert "has class 255 in its mask" in problem_of(fixed_rows())


def test_many_problems_of_a_file_are_counted():
    rows = make_rows() * 3
    for index, row in enumerate(rows):
        rows[index] = replace(row, index=index, mask=None)

    problem = problem_of(rows)

    assert problem.count("is ok but has no mask") == 2
    assert problem.endswith("and 15 more")
