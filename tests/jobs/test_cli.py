"""The command line: exit codes, messages, output for people and for programs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from in_process import invoke
from tiny_job import save_checkpoint

COMMAND = str(Path(sys.executable).parent / "refinenet-batch")


def test_help_answers_within_seven_tenths_of_a_second():
    """Torch and Ray are imported late; the best of five tries, since the machine may be busy."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)

    assert "quickstart" in done.stdout
    assert min(seconds) < 0.7


@pytest.mark.usefixtures("without_ray")
def test_a_run_prints_a_table_for_people_and_json_for_programs(tiny_job):
    spec = tiny_job.write_spec()

    first = invoke("run", spec)
    second = invoke("run", spec, "--json")

    assert first.exit_code == second.exit_code == 0, first.output
    assert "pictures: 12 images in 3 parts" in first.stderr
    assert "12/12 images" in first.stderr
    assert str(tiny_job.output / "summary.json") in first.stdout
    result = json.loads(second.stdout)
    miou = result["datasets"][0]["miou"]
    assert f"{miou:.5f}" in first.stdout
    assert "12 images in 3 parts are committed already" in second.stderr
    assert (
        result["datasets"] == json.loads((tiny_job.output / "summary.json").read_text())["datasets"]
    )


@pytest.mark.usefixtures("without_ray")
def test_plan_says_what_is_there_and_what_is_committed_and_writes_nothing(tiny_job):
    spec = tiny_job.write_spec()

    before = json.loads(invoke("plan", spec, "--json").stdout)
    assert not tiny_job.output.exists()
    invoke("run", spec)
    next(tiny_job.output.glob("masks/*/*-000000.parquet")).unlink()
    after = json.loads(invoke("plan", spec, "--json").stdout)
    table = invoke("plan", spec)

    assert before["datasets"] == [
        {
            "name": "pictures",
            "shards": 1,
            "images": 12,
            "parts": 3,
            "size_bytes": sum(p.stat().st_size for p in (tiny_job.root / "images").iterdir()),
            "committed_shards": 0,
            "committed_images": 0,
            "committed_parts": 0,
        }
    ]
    assert (after["datasets"][0]["committed_images"], after["datasets"][0]["parts"]) == (7, 3)
    assert table.exit_code == 0
    assert "committed" in table.stdout


@pytest.mark.usefixtures("without_ray")
def test_verify_says_what_is_wrong_and_how_to_mend_it(tiny_job):
    spec = tiny_job.write_spec()
    invoke("run", spec)

    right = invoke("verify", tiny_job.output)
    missing = next(tiny_job.output.glob("masks/*/*-000001.parquet"))
    missing.unlink()
    wrong = invoke("verify", tiny_job.output)
    as_json = invoke("verify", tiny_job.output, "--json")
    no_output = invoke("verify", tiny_job.root)

    assert right.exit_code == 0, right.output
    assert right.stdout.splitlines() == [
        "pictures: 3 parts are right, 12 rows, 12 images",
        "nothing is missing, nothing is wrong",
    ]
    remedy = "run the job again: refinenet-batch run SPEC"
    assert wrong.exit_code == as_json.exit_code == 3
    assert wrong.stdout.splitlines() == [
        str(missing),
        "  is missing",
        f"  → {remedy}",
        "pictures: 2 parts are right, 7 rows, 7 images",
        "1 files are missing or wrong",
    ]
    assert json.loads(as_json.stdout) == {
        "ok": False,
        "output": str(tiny_job.output),
        "datasets": [{"name": "pictures", "parts": 2, "rows": 7, "images": 7}],
        "findings": [{"file": str(missing), "problem": "is missing", "remedy": remedy}],
        "notes": [],
    }
    assert no_output.exit_code == 2
    assert "has no job.json; give the `output` of a job that was run" in no_output.stderr
    assert no_output.stdout == ""


@pytest.mark.usefixtures("without_ray")
def test_more_failures_than_tolerated_end_with_exit_code_1_and_a_sentence(tiny_job):
    (tiny_job.root / "images/picture-01.png").write_bytes(b"not an image")
    spec = tiny_job.write_spec()

    refused = invoke("run", spec)
    tiny_job.spec["tolerance"] = {"failed_images": 1}
    tolerated = invoke("run", tiny_job.write_spec())

    assert refused.exit_code == 1
    assert "1 images failed, more than `tolerance` allows" in refused.stdout
    assert tolerated.exit_code == 0


def unknown_field(job):
    job.spec["tolerence"] = {}


def misspelt_format(job):
    job.dataset["format"] = "foldr"


def missing_checkpoint(job):
    job.spec["model"]["checkpoint"] = str(job.root / "nowhere.pth")


def checkpoint_of_another_class_count(job):
    path = save_checkpoint(job.root / "seven.pth", num_classes=7)
    job.spec["model"]["checkpoint"] = str(path)


def checkpoint_of_another_model(job):
    import torch

    path = job.root / "classifier.pth"
    torch.save({"conv1.weight": torch.zeros(4), "fc.weight": torch.zeros(4)}, path)
    job.spec["model"]["checkpoint"] = str(path)


def unknown_model(job):
    job.spec["model"]["name"] = "refinenet51"


def empty_folder(job):
    (job.root / "empty").mkdir()
    job.dataset["images"] = str(job.root / "empty" / "*.png")


def missing_targets(job):
    (job.root / "targets/picture-03.png").unlink()


def anothers_output(job):
    job.output.mkdir()
    (job.output / "job.json").write_text('{"fingerprint": {"model": "another"}}')


def foreign_job_json(job):
    job.output.mkdir()
    (job.output / "job.json").write_text("[]")


def classes_that_nobody_tells(job):
    del job.dataset["classes"]


def model_that_nobody_tells(job):
    checkpoint_of_another_model(job)
    del job.spec["model"]["name"]


def more_gpus_than_there_are(job):
    job.spec["resources"]["gpus_per_actor"] = 1000


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (unknown_field, ["tolerence: unknown field", "did you mean 'tolerance'?"]),
        (misspelt_format, ["datasets[0].format", "'folder'", "'foldr'"]),
        (missing_checkpoint, ["nowhere.pth: no such file"]),
        (checkpoint_of_another_class_count, ["is for 7 classes", "set num_classes to 7"]),
        (checkpoint_of_another_model, ["does not fit model", "an ImageNet classifier"]),
        (unknown_model, ["'refinenet51'", "known are: refinenet101"]),
        (empty_folder, ["dataset pictures: no images at", "check the folder"]),
        (missing_targets, ["1 of 12 images have no target", "targets_missing: row"]),
        (anothers_output, ["holds the results of another job", "Give another `output`"]),
        (foreign_job_json, ["is not a job.json of refinenet-batch"]),
        (classes_that_nobody_tells, ["datasets[0].classes: missing, and", "give it in the spec"]),
        (model_that_nobody_tells, ["model.name: missing", "looks like an ImageNet classifier"]),
        (more_gpus_than_there_are, ["resources.gpus_per_actor: is 1000", "GPUs here"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_wrong_spec_ends_with_one_message_and_exit_code_2(tiny_job, command, mistake, words):
    mistake(tiny_job)

    done = invoke(command, tiny_job.write_spec())

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tiny_job.output / "masks").exists()
    assert not (tiny_job.output / "plan").exists()


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("environment", "field", "words"),
    [
        ({}, "images", ["s3://no-such-bucket", "no such bucket"]),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "images", ["access denied", "check the credentials"]),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "output", ["access denied", "check the credentials"]),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "checkpoint", ["access denied"]),
    ],
)
def test_a_bucket_that_is_not_there_or_forbidden_ends_with_exit_code_2(
    tiny_job, monkeypatch, environment, field, words
):
    bucket = "shards" if environment else "no-such-bucket"
    section = {
        "images": tiny_job.dataset,
        "output": tiny_job.spec,
        "checkpoint": tiny_job.spec["model"],
    }[field]
    section[field] = f"s3://{bucket}/pictures/*.png" if field == "images" else f"s3://{bucket}/x"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    done = invoke("run", tiny_job.write_spec())

    assert done.exit_code == 2
    assert done.stderr.count("error: ") == 1
    for word in words:
        assert word in done.stderr


def test_a_wrong_spec_starts_no_ray_and_prints_no_traceback(tiny_job):
    unknown_field(tiny_job)
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}

    done = subprocess.run(
        [COMMAND, "run", str(tiny_job.write_spec())],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 2
    assert "typer" in imported
    assert "ray" not in imported
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["run"], ["fly"], ["run", "x.yaml", "--limit", "0"]])
def test_a_wrong_command_ends_with_exit_code_2(arguments):
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nope"], "unknown model 'nope'; known are"),
        (["--precision", "int4"], "precision is 'int4'; choose auto"),
        (["--device", "tpu"], "device is 'tpu'; choose cpu or cuda"),
        pytest.param(
            ["--device", "cuda"],
            "but PyTorch finds no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused_in_a_line(arguments, message):
    result = invoke("benchmark", "--size", "32x32", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
