"""The export of masks: whatever the format, the same pixels, and no file outside the target."""

import json

import pytest

from exported_job import KEYS, files_below, masks
from pipeline import export
from pipeline.errors import OutputError, SpecError

NAMES = {
    "../../escaped": "escaped.png",
    "/etc/absolute": "etc/absolute.png",
    "back\\..\\slash": "back_.._slash.png",
    "nul\0l": "nul_l.png",
    "图" * 120: "图" * 60 + ".png",
    "clip.png/frame": "clip.png_/frame.png",
    "clip": "clip.png",
    "a.b": "a.b.png",
    "": "image.png",
}
FILE_FORMATS = ["labels", "palette", "overlay"]


@pytest.mark.parametrize("export_format", FILE_FORMATS)
def test_no_key_leads_out_of_the_folder_and_no_two_to_one_file(finished, tmp_path, export_format):
    folder = tmp_path / "deep" / "out"

    report = export(
        str(finished.output), str(folder), export_format=export_format, datasets=["tables"]
    )

    written = files_below(tmp_path)
    assert all(name.startswith("deep/out/") for name in written)
    files = {name.removeprefix("deep/out/tables/") for name in written}
    assert set(NAMES.values()) < files
    twice = {name for name in files if name.lower().startswith("twice-")}
    assert len(files) == len(KEYS) + 1
    assert len(twice) == 3
    [tables] = report.datasets
    assert (tables.masks, tables.renamed, tables.repeated) == (12, 7, 3)
    assert tables.examples[0] == ("../../escaped", "escaped.png")
    assert len(tables.examples) == 5


def test_files_with_a_suffix_hold_the_right_masks(finished, tmp_path):
    """Threads are done in any order; which row a file is of follows from shard and index."""
    export(str(finished.output), str(tmp_path), export_format="palette", datasets=["tables"])

    expected = [
        row["mask"] for row, _ in masks(finished.output, "tables") if row["index"] in (5, 6)
    ]
    found = [path.read_bytes() for path in (tmp_path / "tables").glob("twice-*.png")]
    assert sorted(found) == sorted(expected)


@pytest.mark.s3
def test_from_a_bucket_into_a_bucket_nothing_leaves_the_prefix(finished, s3, tmp_path):
    fs = s3.filesystem()
    for path in finished.output.rglob("*"):
        if path.is_file():
            name = f"results/exported/{path.relative_to(finished.output)}"
            fs.pipe_file(name, path.read_bytes())
    before = set(fs.find("results"))

    for export_format in ("palette", "coco", "webdataset"):
        target = f"s3://results/out/{export_format}"
        report = export("s3://results/exported", target, export_format=export_format)
        assert report.exit_code == 0

    with pytest.raises(OutputError, match="lies in the output folder"):
        export("s3://results/exported", "s3a://results/exported/masks", export_format="coco")
    new = set(fs.find("results")) - before
    assert all(name.startswith("results/out/") for name in new)
    for row, _ in masks(finished.output, "tables"):
        if row["key"] in NAMES:
            name = f"results/out/palette/tables/{NAMES[row['key']]}"
            assert fs.cat_file(name) == row["mask"]
    export(str(finished.output), str(tmp_path), export_format="coco")
    assert fs.cat_file("results/out/coco/tables.json") == (tmp_path / "tables.json").read_bytes()


@pytest.mark.parametrize("export_format", [*FILE_FORMATS, "coco", "geojson", "webdataset"])
def test_the_same_command_again_mends_what_is_damaged_and_adds_nothing(
    finished, tmp_path, export_format
):
    export(str(finished.output), str(tmp_path), export_format=export_format)
    first = {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)}
    for name in sorted(first)[1::2]:
        if name != "export.json":
            (tmp_path / name).write_bytes(b"damaged")

    export(str(finished.output), str(tmp_path), export_format=export_format)

    assert {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)} == first


def test_another_format_or_another_job_is_refused_in_the_same_folder(job, finished, tmp_path):
    """Formats share file names: one export would be half overwritten by another."""
    target = str(tmp_path / "out")
    export(str(finished.output), target, export_format="labels")

    with pytest.raises(OutputError, match="holds the export of another job, or in another format"):
        export(str(finished.output), target, export_format="palette")
    content = json.loads((job.output / "job.json").read_text())
    content["fingerprint"]["scales"] = [0.5]
    (job.output / "job.json").write_text(json.dumps(content))
    with pytest.raises(OutputError, match="holds the export of another job"):
        export(str(job.output), target, export_format="labels")
    (tmp_path / "out/export.json").write_text("[]")
    with pytest.raises(OutputError, match=r"is no export\.json"):
        export(str(finished.output), target, export_format="labels")


@pytest.mark.parametrize("below", ["", "masks", "export/deep"])
def test_a_target_in_the_output_folder_is_refused(job, tmp_path, below):
    """A dataset called `plan` would be written over the job's plans."""
    (tmp_path / "link").symlink_to(job.output)
    before = files_below(job.output)

    for folder in (job.output, tmp_path / "link", job.output / ".." / job.output.name):
        with pytest.raises(OutputError, match="lies in the output folder"):
            export(str(job.output), str(folder / below), export_format="labels")

    assert files_below(job.output) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"export_format": "gif"}, "format is 'gif'; choose one of labels, palette"),
        (
            {"export_format": "coco", "datasets": ["picture"]},
            "no dataset 'picture' in this output; it has pictures, tars, tables",
        ),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_written(
    finished, tmp_path, arguments, message
):
    with pytest.raises(SpecError, match=message):
        export(str(finished.output), str(tmp_path / "out"), **arguments)

    assert not (tmp_path / "out").exists()


def test_masks_that_were_scored_have_no_picture_to_be_laid_over(job, tmp_path):
    content = json.loads((job.output / "job.json").read_text())
    spec = content["spec"]
    [spec["datasets"][0]["predictions"], spec["model"], spec["inference"]] = [{}, None, {}]
    del spec["datasets"][1:]
    (job.output / "job.json").write_text(json.dumps(content))

    with pytest.raises(SpecError, match="the images of dataset 'pictures' are masks"):
        export(str(job.output), str(tmp_path / "out"), export_format="overlay")

    assert export(str(job.output), str(tmp_path / "out"), export_format="labels").exit_code == 0


def test_a_dataset_without_a_plan_is_refused_before_anything_is_written(job, tmp_path):
    (job.output / "plan/tars.parquet").unlink()

    with pytest.raises(OutputError, match=r"tars\.parquet: is missing; run the job"):
        export(str(job.output), str(tmp_path / "out"), export_format="coco")

    assert not (tmp_path / "out").exists()
