"""Faults that once lost or deleted something with exit code 0, each through the command line."""

import gzip
import io
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from in_process import invoke
from pipeline import JobSpec, PipelineError, run
from pipeline.execution.observer import Silent
from tars import make_tar
from tiny_job import read_rows

pytestmark = pytest.mark.usefixtures("without_ray")


def png(number):
    """Return a mask of two classes, encoded."""
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), number % 2, np.uint8)).save(data, "PNG")
    return data.getvalue()


class Evaluation:
    """A job that scores masks, which needs no network: its files, its spec, its output."""

    def __init__(self, root, dataset, **fields):
        self.root, self.output = root, root / "output"
        self.spec = {
            "name": "evaluation",
            "datasets": [
                {
                    "name": "masks",
                    "classes": ["background", "lesion"],
                    "predictions": {"encoding": "indices"},
                    **dataset,
                }
            ],
            "output": str(self.output),
            "part_images": 8,
            **fields,
        }

    def __call__(self, *arguments):
        """Run it, with some options."""
        path = self.root / "spec.yaml"
        path.write_text(yaml.safe_dump(self.spec))
        return invoke("evaluate", path, *arguments)

    def summary(self):
        return json.loads((self.output / "summary.json").read_text())

    def rows(self):
        return read_rows(self.output)

    def files(self):
        """Return the content of each file of the output."""
        return {path: path.read_bytes() for path in self.output.rglob("*") if path.is_file()}


@pytest.fixture
def of_folder(tmp_path):
    for name in ("images", "targets"):
        (tmp_path / name).mkdir()
        for number in range(20):
            (tmp_path / name / f"{number:02d}.png").write_bytes(png(number))
    images, targets = tmp_path / "images" / "*.png", tmp_path / "targets" / "{stem}.png"
    return Evaluation(tmp_path, {"images": str(images), "targets": str(targets)})


def of_tars(root, **fields):
    members = {"image": "png", "target": "seg.png"}
    dataset = {"format": "webdataset", "images": str(root / "*.tar"), "members": members}
    return Evaluation(root, dataset, **fields)


def of_tables(root, **fields):
    columns = {"image": "image", "target": "target"}
    dataset = {"format": "parquet", "images": str(root / "*.parquet"), "columns": columns}
    return Evaluation(root, dataset, **fields)


def tar(first, last):
    names = [f"{n:05d}.{end}" for n in range(first, last) for end in ("png", "seg.png")]
    return make_tar([(name, png(int(name[:5]))) for name in names])


def table(path, rows, *, row_group_size):
    masks = [png(number) for number in range(rows)]
    pq.write_table(pa.table({"image": masks, "target": masks}), path, row_group_size=row_group_size)


def test_reports_name_the_parts_of_another_job_and_delete_nothing(of_folder, tmp_path):
    """`report` once deleted such parts, and `compare` once counted them."""
    assert of_folder().exit_code == 0
    second = tmp_path / "second"
    shutil.copytree(of_folder.output, second)
    of_folder.spec["datasets"][0]["ignore_index"] = 254
    of_folder.spec["output"] = str(tmp_path / "another")
    assert of_folder().exit_code == 0
    foreign = min((tmp_path / "another" / "masks" / "dataset=masks").iterdir())
    shutil.copy(foreign, second / "masks" / "dataset=masks")
    before = {path.name for path in second.rglob("*.parquet")}

    report = invoke("report", second)
    comparison = invoke("report", of_folder.output, second)
    compared = invoke("report", of_folder.output, second, "--json")
    exported = invoke("export", second, tmp_path / "exported", "--format", "labels")

    assert {path.name for path in second.rglob("*.parquet")} == before
    assert report.exit_code == 3
    assert f"foreign:   {second}/masks/dataset=masks/{foreign.name}" in report.stdout
    summary = json.loads((second / "summary.json").read_text())
    assert summary["foreign_parts"] == [f"file://{second}/masks/dataset=masks/{foreign.name}"]
    assert summary["complete"] is False
    assert foreign.name in comparison.stdout
    [dataset] = json.loads(compared.stdout)["datasets"]
    assert dataset["paired_images"] == 20 - 8
    assert dataset["foreign_parts"] == summary["foreign_parts"]
    assert exported.exit_code == 2
    assert f"{foreign.name}: is a part of another job" in exported.stderr


def test_a_run_deletes_the_parts_of_another_job_and_the_next_makes_them(of_folder, tmp_path):
    assert of_folder().exit_code == 0
    expected = {path: path.read_bytes() for path in of_folder.output.rglob("*-0*.parquet")}
    mine = of_folder.spec
    of_folder.spec = json.loads(json.dumps(mine))
    of_folder.spec["datasets"][0]["ignore_index"] = 254
    of_folder.spec["output"] = str(tmp_path / "another")
    assert of_folder().exit_code == 0
    foreign = min((tmp_path / "another" / "masks" / "dataset=masks").iterdir())
    shutil.copy(foreign, of_folder.output / "masks" / "dataset=masks")
    of_folder.spec = mine

    found, mended = of_folder(), of_folder()

    assert (found.exit_code, mended.exit_code) == (3, 0)
    assert foreign.name in found.stdout
    assert {path: path.read_bytes() for path in expected} == expected


def test_a_run_that_was_overtaken_neither_sums_up_nor_deletes(of_folder):
    """Its summary once took the new job's parts for foreign ones, and deleted them."""
    assert of_folder().exit_code == 0
    expected = of_folder.files()
    of_folder.spec["datasets"][0]["ignore_index"] = 254
    spec = JobSpec.from_mapping(of_folder.spec)

    class Overtaken(Silent):
        """Is told that the run has begun, and lets the other job take its output back."""

        def planned(self, _datasets):
            shutil.rmtree(of_folder.output)
            for path, data in expected.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    with pytest.raises(PipelineError, match="holds the results of another job"):
        run(spec, Overtaken(), overwrite=True)

    assert of_folder.files() == expected


@pytest.mark.parametrize("kind", ["grown", "touched", "regrouped"])
def test_a_refresh_refuses_a_table_that_has_changed(tmp_path, kind):
    """A table that grew in other row groups once gave ten keys twice, and `verify` saw nothing."""
    job = of_tables(tmp_path)
    path = tmp_path / "masks.parquet"
    table(path, 60, row_group_size=20)
    assert job().exit_code == 0
    before = job.files()
    if kind == "touched":
        os.utime(path, (1, 1))
    else:
        table(path, 100 if kind == "grown" else 60, row_group_size=25)

    refreshed = job("--refresh")

    assert refreshed.exit_code == 2
    assert f"1 of its files have changed since they were planned: {path}" in refreshed.stderr
    assert "--overwrite" in refreshed.stderr
    assert job.files() == before
    assert sorted(row["key"] for row in job.rows()) == sorted(map(str, range(60)))


def test_a_refresh_refuses_a_tar_that_has_grown_even_beside_new_ones(tmp_path):
    """The new samples of such a tar were once lost with exit code 0."""
    job = of_tars(tmp_path)
    (tmp_path / "a.tar").write_bytes(tar(0, 10))
    assert job().exit_code == 0
    before = job.files()
    (tmp_path / "a.tar").write_bytes(tar(0, 15))
    (tmp_path / "b.tar").write_bytes(tar(20, 25))

    refreshed = job("--refresh", "--retry-failed")
    (tmp_path / "a.tar").write_bytes(tar(0, 10))
    os.utime(tmp_path / "a.tar", (1, 1))
    touched = job("--refresh")

    assert (refreshed.exit_code, touched.exit_code) == (2, 2)
    assert f"{tmp_path}/a.tar" in refreshed.stderr
    assert job.files() == before


def test_a_refresh_refuses_a_table_of_images_that_became_a_manifest(tmp_path):
    job = of_tables(tmp_path)
    table(tmp_path / "masks.parquet", 8, row_group_size=8)
    assert job().exit_code == 0
    (tmp_path / "masks.parquet").unlink()
    uris = [str(tmp_path / "a.png")]
    (tmp_path / "a.png").write_bytes(png(0))
    pq.write_table(pa.table({"image": uris, "target": uris}), tmp_path / "uris.parquet")

    refreshed = job("--refresh")

    assert refreshed.exit_code == 2
    assert "held encoded images when it was planned" in refreshed.stderr


@pytest.mark.parametrize("kind", ["zeroed header", "joined", "joined gzip", "zeros to the end"])
def test_a_tar_that_goes_on_behind_its_end_is_truncated(tmp_path, kind):
    """One zeroed header once lost the rest of a tar, and of joined tars all but the first."""
    job = of_tars(tmp_path, tolerance={"failed_images": 1.0})
    whole = tar(0, 40)
    (tmp_path / "a.tar").write_bytes(
        {
            "zeroed header": whole[: 2048 * 10] + bytes(512) + whole[2048 * 10 + 512 :],
            "joined": tar(0, 10) + tar(10, 40),
            "joined gzip": gzipped(tar(0, 10)) + gzipped(tar(10, 40)),
            "zeros to the end": whole[: 2048 * 10] + bytes(len(whole) - 2048 * 10),
        }[kind]
    )

    result = job()

    rows = job.rows()
    assert result.exit_code == 1
    assert [row["status"] for row in rows] == ["ok"] * 10 + ["truncated"]
    assert f"byte {2048 * 10}" in rows[-1]["error"]
    assert job.summary()["complete"] is False


def gzipped(data):
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("what", ["tar", "table"])
def test_a_lost_shard_is_covered_by_no_tolerance(tmp_path, what):
    """A thousand lost rows once counted as one failed image, within a tolerance of 1 %."""
    job = {"tar": of_tars, "table": of_tables}[what](
        tmp_path, part_images=100, tolerance={"failed_images": 0.5}
    )
    if what == "tar":
        (tmp_path / "a.tar").write_bytes(tar(0, 50))
        broken = tmp_path / "b.tar"
        broken.write_bytes(tar(50, 150)[: 2048 * 4])
    else:
        table(tmp_path / "a.parquet", 50, row_group_size=20)
        broken = tmp_path / "b.parquet"
        table(broken, 100, row_group_size=20)
        data = bytearray(broken.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
        broken.write_bytes(data)

    result = job()

    summary = job.summary()
    [dataset] = summary["datasets"]
    assert result.exit_code == 1
    assert "broken:    " in result.stdout
    assert "no tolerance covers" in " ".join(result.stdout.split())
    assert summary["complete"] is dataset["complete"] is summary["within_tolerance"] is False
    assert [str(broken) in shard for shard in summary["broken_shards"]] == [True]
    assert dataset["statuses"]["truncated"] == 1
    assert dataset["images"]["planned"] in {None, 150}
    assert "incomplete" in (job.output / "report.html").read_text()


@pytest.mark.parametrize("name", ["../../precious", "a/b", "", "masks\n", 7, None])
def test_names_in_a_job_json_are_never_paths(of_folder, name):
    """`"datasets": ["../../x"]` once let `--overwrite` delete outside of the output."""
    (of_folder.root / "precious.parquet").write_text("precious")
    of_folder.output.mkdir()
    content = {"fingerprint": {}, "generation": 1, "datasets": [name]}
    (of_folder.output / "job.json").write_text(json.dumps(content))
    before = of_folder.files()

    result = of_folder("--overwrite")

    assert result.exit_code == 2
    assert f"{name!r} is no name of a dataset" in result.stderr
    assert (of_folder.root / "precious.parquet").read_text() == "precious"
    assert of_folder.files() == before


@pytest.mark.parametrize(
    ("images", "targets", "output", "field"),
    [
        ("data", None, "data/out", "images"),
        ("data", None, "data", "images"),
        ("data/", None, "elsewhere/../data/out", "images"),
        ("link", None, "data/out", "images"),
        ("data/**", None, "data/out", "images"),
        ("data/**/*.parquet", None, "data/out", "images"),
        ("data/*.json", None, "data", "images"),
        ("data/*.png", "data/{stem}.png", "data/out", "targets"),
        ("data/*.png", "data/masks/{relpath}.png", "data/masks", "targets"),
    ],
)
def test_an_output_among_the_inputs_is_refused(tmp_path, images, targets, output, field):
    for folder in ("data/masks", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "data" / "a.png").write_bytes(png(0))
    dataset = {"images": str(tmp_path) + "/" + images}
    if targets:
        dataset["targets"] = str(tmp_path / targets)
    job = Evaluation(tmp_path, dataset)
    job.spec["output"] = str(tmp_path) + "/" + output

    result = job()

    assert result.exit_code == 2
    assert f"lies where datasets[0].{field}" in " ".join(result.stderr.split())
    assert list(tmp_path.rglob("job.json")) == []


def test_an_output_beside_what_is_listed_is_fine_and_tables_beside_it_are_not(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(png(0))
    beside = Evaluation(tmp_path, {"images": str(tmp_path / "data" / "*.png")})
    beside.spec["output"] = str(tmp_path / "data" / "out")
    beside.output = tmp_path / "data" / "out"
    table(tmp_path / "t.parquet", 4, row_group_size=4)
    within = of_tables(tmp_path)
    within.spec["output"] = str(tmp_path)

    assert beside().exit_code == 0
    assert beside("--refresh").exit_code == 0
    assert len(beside.rows()) == 1
    assert within().exit_code == 2


def test_packing_into_the_folder_of_the_images_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))

    packed = invoke("pack", tmp_path, tmp_path / "shards")

    assert packed.exit_code == 2
    assert "would be taken for images" in packed.stderr
    assert not (tmp_path / "shards").exists()


def test_an_ignore_index_that_is_a_class_is_refused(of_folder):
    """It once left a whole class out of the score, which fell from 0.876 to 0.45."""
    of_folder.spec["datasets"][0]["ignore_index"] = 0

    result = of_folder()

    assert result.exit_code == 2
    assert "ignore_index is 0, which is the class 'background'" in result.stderr
    assert not of_folder.output.exists()
