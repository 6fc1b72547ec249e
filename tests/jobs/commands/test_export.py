"""The command `export`: exit codes, what it says, where."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline import run
from tiny_job import TinyJob

pytestmark = pytest.mark.usefixtures("without_ray")


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run, with a file that is no image, and a name that is there twice."""
    job = TinyJob.make(tmp_path_factory.mktemp("exported"), checkpoint)
    images = job.root / "images"
    (images / "picture-01.png").write_bytes(b"not an image")
    shutil.copyfile(images / "picture-02.png", images / "picture-02.jpg")
    job.dataset["images"] = str(images)
    del job.dataset["targets"]
    job.spec["tolerance"] = {"failed_images": 1}
    assert run(job.validated()).complete
    return job


def invoke(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_it_says_what_was_exported_what_not_and_which_files_have_another_name(finished, tmp_path):
    done = invoke(finished.output, tmp_path / "out", "--format", "palette")

    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "pictures: 12 masks exported",
        "pictures: left out, for they have no mask: 1 undecodable",
        "pictures: 2 files have a suffix, for others would have their name",
    ]
    for line in lines[3:5]:
        key, name = line.strip().split(" is ")
        assert key == "'picture-02'"
        assert (tmp_path / "out/pictures" / name).is_file()
    assert lines[5:] == [f"Exported:  {tmp_path / 'out'}"]
    assert "pictures: 3/3 parts, 12 masks" in done.stderr


def test_json_holds_the_report_alone(finished, tmp_path):
    options = ("--format", "coco", "--dataset", "pictures", "--json")

    done = invoke(finished.output, tmp_path / "out", *options)

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "target": str(tmp_path / "out"),
        "format": "coco",
        "datasets": [
            {
                "name": "pictures",
                "masks": 12,
                "without_mask": {"undecodable": 1},
                "without_image": 0,
                "renamed": 0,
                "repeated": 0,
                "examples": [],
                "missing_parts": 0,
            }
        ],
    }


def test_missing_parts_and_images_end_with_exit_code_3_and_what_to_do(finished, tmp_path):
    output = shutil.copytree(finished.output, tmp_path / "copy")
    next(output.glob("masks/*/*-000002-end.parquet")).unlink()
    image = finished.root / "images/picture-00.png"
    content = image.read_bytes()
    image.unlink()
    try:
        done = invoke(output, tmp_path / "out", "--format", "overlay")
    finally:
        image.write_bytes(content)

    assert done.exit_code == 3
    assert "the image is gone or has changed: 1; put the images back" in done.stdout
    assert "1 parts or more are not there yet; run the job again" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "gif"], "format is 'gif'; choose one of labels, palette, overlay, coco"),
        (["--format", "coco", "--dataset", "x"], "no dataset 'x' in this output; it has pictures"),
        ([], "Missing option '--format'"),
    ],
)
def test_a_wrong_command_ends_with_exit_code_2(finished, tmp_path, options, message):
    done = invoke(finished.output, tmp_path / "out", *options)

    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_output_ends_with_exit_code_2(tmp_path):
    done = invoke(tmp_path, tmp_path / "out", "--format", "coco")

    assert done.exit_code == 2
    assert "has no job.json" in done.stderr


def test_a_target_that_cannot_be_written_ends_with_exit_code_2(finished, tmp_path):
    (tmp_path / "out").write_bytes(b"a file")

    done = invoke(finished.output, tmp_path / "out", "--format", "coco")

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'out'}")


def test_what_fails_on_the_way_ends_with_exit_code_3(finished, tmp_path):
    """A folder stands where the last part's file belongs: the parts before it are exported."""
    (tmp_path / "out/pictures/picture-11.png").mkdir(parents=True)

    done = invoke(finished.output, tmp_path / "out", "--format", "palette")

    assert done.exit_code == 3
    assert done.stderr.count("error: ") == 1
    assert (tmp_path / "out/pictures/picture-00.png").is_file()
