"""`plan`: sizes and operations for nothing, hours and cost once a speed is known."""

import json

import pytest
from typer.testing import CliRunner

import in_process
from jobs.cli import app
from tiny_job import MODEL, SIZES

PIXELS = 4 * sum(height * width for height, width in SIZES)  # of the tiny job's 12 images


def invoke(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def record(path, *, peak_bytes=None, **setting):
    """Write a benchmark's record."""
    content = {
        "setting": {
            "model": MODEL,
            "num_classes": 4,
            "height": 100,
            "width": 200,
            "scales": [1.0],
            "precision": "float32",
            "images": 2,
            "rounds": 5,
            **setting,
        },
        "hardware": {"device": "a device"},
        "images_per_s": 50.0,
        "peak_bytes": peak_bytes or {},
    }
    path.write_text(json.dumps(content))
    return path


def test_a_record_tells_hours_and_cost(tiny_job, tmp_path):
    file = record(tmp_path / "record.json")
    spec = tiny_job.write_spec()

    done = invoke(spec, "--record", file, "--price-per-gpu-hour", "1000000", "--json")
    table = invoke(spec, "--record", file, "--price-per-gpu-hour", "1000000")

    estimate = json.loads(done.stdout)["estimate"]
    # A million network pixels a second; the network looks at 30 x 42 and 40 x 56 and so on.
    scaled = [(int(0.75 * height), int(0.75 * width)) for height, width in SIZES]
    seconds = 4 * sum(height * width for height, width in (*SIZES, *scaled)) / 1e6
    assert estimate["actor_s"]["value"] == pytest.approx(seconds)
    assert estimate["cost"]["value"] == pytest.approx(seconds / 3600 * 1e6)
    assert "actor-hours" in table.stdout
    assert f"Cost: {seconds / 3600 * 1e6:.1f}" in table.stdout
    assert "of the predictor alone" in table.stdout
    assert "scales [1.0] there, [0.75, 1.0] in the job" in " ".join(table.stdout.split())


def test_a_calibration_measures_the_jobs_own_images(tiny_job, monkeypatch):
    monkeypatch.setattr("pipeline.estimate.estimate_job._CALIBRATION_S", 1.0)

    done = invoke(tiny_job.write_spec(), "--calibrate", "--json")

    assert done.exit_code == 0, done.output
    estimate = json.loads(done.stdout)["estimate"]
    [dataset] = estimate["datasets"]
    assert dataset["speed"]["images"] > 0  # how many depends on how busy the machine is
    assert dataset["images_per_s"]["margin"] > 0
    seconds = 12 / dataset["images_per_s"]["value"]
    assert estimate["actor_s"]["value"] == pytest.approx(seconds)
    assert not tiny_job.output.exists()


def test_a_record_of_a_gpu_tells_gpu_hours_on_a_machine_without_one(tiny_job, tmp_path):
    file = record(tmp_path / "record.json", peak_bytes={"loop": 1}, precision="bfloat16")

    done = invoke(tiny_job.write_spec(), "--record", file)

    assert done.exit_code == 0, done.output
    assert "GPU-hours" in done.stdout
    assert "precision" not in done.stdout  # the job's is what `auto` means on that GPU


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "refinenet_lw50"}, "is of the model refinenet_lw50, the job's is"),
        ({"height": None}, "is no record of a benchmark"),
    ],
)
def test_a_record_of_something_else_is_refused(tiny_job, tmp_path, change, message):
    file = record(tmp_path / "record.json", **change)

    done = invoke(tiny_job.write_spec(), "--record", file)

    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("error: ") == 1


def test_a_record_of_a_gpu_is_refused_for_a_job_on_cpus(tiny_job, tmp_path):
    tiny_job.spec["resources"]["gpus_per_actor"] = 0
    file = record(tmp_path / "record.json", peak_bytes={"loop": 1})

    done = invoke(tiny_job.write_spec(), "--record", file)

    assert done.exit_code == 2
    assert "is of a GPU (a device), the job runs on CPUs" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--price-per-gpu-hour", "2"], "a price needs a speed; add --calibrate"),
        (["--calibrate", "--record", "x.json"], "not both"),
        (["--record", "nowhere.json"], "nowhere.json: cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny_job, arguments, message):
    done = invoke(tiny_job.write_spec(), *arguments)

    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_images_that_are_all_damaged_cannot_be_calibrated_on(tiny_job):
    for image in (tiny_job.root / "images").iterdir():
        image.write_bytes(b"no image")
    spec = tiny_job.write_spec()

    plain, calibrated = invoke(spec), invoke(spec, "--calibrate")

    assert plain.exit_code == 0, plain.output
    assert calibrated.exit_code == 2
    assert "dataset pictures: none of 12 images" in calibrated.stderr


@pytest.mark.usefixtures("without_ray")
def test_plan_says_what_is_there_and_what_is_committed_and_writes_nothing(tiny_job):
    spec = tiny_job.write_spec()

    before = json.loads(invoke(spec, "--json").stdout)
    assert not tiny_job.output.exists()
    in_process.invoke("run", spec)
    next(tiny_job.output.glob("masks/*/*-000000.parquet")).unlink()
    after = json.loads(invoke(spec, "--json").stdout)
    table = invoke(spec)

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
