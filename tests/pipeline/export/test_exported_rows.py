"""The export of a dataset's rows: what is missing is counted, what is damaged ends it."""

import pyarrow.parquet as pq
import pytest

from exported_job import change_rows, files_below
from pipeline import export
from pipeline.errors import OutputError
from pipeline.export.exported_rows import ExportedDataset


def test_a_part_that_is_not_there_is_counted_and_the_others_are_exported(job, tmp_path):
    next(job.output.glob("masks/dataset=pictures/*-000001.parquet")).unlink()

    report = export(
        str(job.output), str(tmp_path / "out"), export_format="labels", datasets=["pictures"]
    )

    assert (report.datasets[0].masks, report.datasets[0].missing_parts) == (6, 1)
    assert report.exit_code == 3


def test_a_damaged_part_ends_the_export_with_the_way_to_mend_it(job, tmp_path):
    path = min(job.output.glob("masks/dataset=pictures/*.parquet"))
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    [column] = [
        c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "mask"
    ]
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(OutputError, match=r"is damaged.*`refinenet-batch verify`") as caught:
        export(str(job.output), str(tmp_path / "out"), export_format="coco")

    assert caught.value.uri == str(path)
    assert files_below(tmp_path / "out") == {"export.json"}


def test_a_mask_that_is_no_picture_ends_the_export(job, tmp_path):
    change_rows(job, "tars", lambda row: row.update(mask=b"no picture"))

    with pytest.raises(OutputError, match="the mask in row 0"):
        export(str(job.output), str(tmp_path / "out"), export_format="labels", datasets=["tars"])


def test_what_became_of_rows_adds_up_with_a_few_examples():
    total = ExportedDataset("d", masks=1, without_mask={"crashed": 1})
    other = ExportedDataset("d", masks=2, without_mask={"crashed": 1, "too_large": 3})
    for number in range(7):
        other.note_name(f"/{number}", f"{number}.png", suffixed=False)

    total += other

    assert (total.masks, total.renamed) == (3, 7)
    assert total.without_mask == {"crashed": 2, "too_large": 3}
    assert total.examples == [(f"/{number}", f"{number}.png") for number in range(5)]


def test_a_file_with_a_suffix_is_repeated_and_one_named_by_its_key_neither():
    found = ExportedDataset("d")

    found.note_name("a", "a.png", suffixed=False)
    found.note_name("a", "a-1.png", suffixed=True)

    assert (found.renamed, found.repeated, found.examples) == (0, 1, [("a", "a-1.png")])
