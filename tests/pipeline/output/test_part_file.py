"""The Parquet file of a part: the same rows, the same bytes; read back, and refused if damaged."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import OutputError, PipelineError
from pipeline.output.mask_png import encode_mask
from pipeline.output.mask_table import MaskRow, class_pixels
from pipeline.output.part_file import PartFile, fingerprint_of, part_file
from pipeline.output.part_name import Part
from pipeline.storage.storage import Storage
from refinenet_core.labels.palettes import png_palette, voc_colours

FINGERPRINT = {"model": "m", "scales": [0.5, 1.0]}
PART = Part("d", "s", 0, 40, "end")
LABELS = np.array([[0, 1, 2], [1, 1, 0]], np.uint8)


def content():
    """Return a part of 40 rows, the first of which has no mask."""
    rows = [MaskRow("s", index, f"k{index}", f"s3://b/{index}.png", None) for index in range(40)]
    rows[0].fail("undecodable", "not an image")
    for row in rows[1:]:
        row.height, row.width = LABELS.shape
        row.mask = encode_mask(LABELS, png_palette(voc_colours(3)))
        row.class_pixels = class_pixels(LABELS)
    return part_file(rows, PART, FINGERPRINT)


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / PART.file_name
    path.write_bytes(content())
    return path


def opened(path, fingerprint=None):
    return PartFile(f"file://{path}", Storage(), fingerprint)


def test_the_same_rows_give_the_same_bytes_which_say_whose_they_are():
    file = pq.ParquetFile(pa.BufferReader(content()))

    assert content() == content()
    assert fingerprint_of(file) == FINGERPRINT
    assert file.num_row_groups == 1


def test_a_file_without_our_metadata_has_no_fingerprint(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")

    assert fingerprint_of(pq.ParquetFile(tmp_path / "a.parquet")) is None


def test_rows_are_read_back_with_what_a_mask_needs(stored):
    rows = list(opened(stored, FINGERPRINT).rows())

    assert [row.key for row in rows] == [f"k{index}" for index in range(40)]
    assert [row.status for row in rows[:2]] == ["undecodable", "ok"]
    assert rows[1].class_pixels is None
    np.testing.assert_array_equal(opened(stored).labels(rows[39]), LABELS)


def test_some_rows_are_found_by_their_index_with_masks_or_without(stored):
    with_masks = opened(stored).find([7, 0, 99], masks=True)
    without = opened(stored).find([7], masks=False)

    assert [(row.index, row.error) for row in with_masks] == [(0, "not an image"), (7, None)]
    assert with_masks[1].mask is not None
    assert without[0].mask is None


def test_a_part_of_another_job_is_refused(stored):
    with pytest.raises(PipelineError, match="is a part of another job; run the job of this output"):
        list(opened(stored, {"model": "another"}).rows())


@pytest.mark.parametrize("kept", [0, 10, -10])
def test_a_damaged_file_is_named_with_the_remedy(stored, kept):
    stored.write_bytes(stored.read_bytes()[:kept])

    with pytest.raises(OutputError, match=f"{stored.name}: is damaged: .*`refinenet-batch verify`"):
        list(opened(stored).rows())


def test_a_damaged_mask_is_named_by_its_row(stored):
    [row] = opened(stored).find([7], masks=True)
    row.mask = row.mask[:-30]

    with pytest.raises(OutputError, match="is damaged: the mask in row 7: "):
        opened(stored).labels(row)
