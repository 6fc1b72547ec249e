"""What an export says on its way and at its end."""

from jobs.display.export_lines import ExportLines, exported_lines
from pipeline import ExportReport
from pipeline.export.exported_rows import ExportedDataset, ExportProgress


def test_progress_is_told_at_the_end_of_each_dataset_and_not_at_every_part():
    said = []
    lines = ExportLines(said.append)

    for parts in range(1, 101):
        lines(ExportProgress("pictures", parts, 100, 5 * parts))
    lines(ExportProgress("others", 1, 1, 7))

    assert said[-2:] == ["pictures: 100/100 parts, 500 masks", "others: 1/1 parts, 7 masks"]
    assert len(said) < 10


def test_what_was_exported_is_told_in_one_line_where_all_went_well():
    report = ExportReport("/there", "labels", [ExportedDataset("pictures", masks=12)])

    assert exported_lines(report) == ["pictures: 12 masks exported", "Exported:  /there"]


def test_what_was_left_out_is_told_by_reason():
    dataset = ExportedDataset(
        "pictures",
        masks=1,
        without_mask={"undecodable": 2, "crashed": 3},
        without_image=4,
        renamed=5,
        repeated=6,
        examples=[("/k", "k.png")],
        missing_parts=7,
    )

    text = "\n".join(exported_lines(ExportReport("/there", "overlay", [dataset])))

    for words in (
        "they have no mask: 3 crashed, 2 undecodable",
        "the image is gone or has changed: 4;",
        "5 files have another name than their key",
        "6 files have a suffix",
        "'/k' is k.png",
        "7 parts or more are not there yet",
    ):
        assert words in text
