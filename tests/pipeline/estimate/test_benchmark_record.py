"""Records of benchmarks: what speed they tell, and which are refused."""

import json

import pytest

from pipeline.errors import SpecError
from pipeline.estimate.benchmark_record import SpeedRecord
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job

SETTING = {
    "model": "refinenet_lw50",
    "num_classes": 4,
    "height": 64,
    "width": 96,
    "scales": [1.0],
    "precision": "float32",
    "images": 2,
    "rounds": 5,
}


def read(path, *, peak_bytes=None, **changes):
    content = {
        "setting": {**SETTING, **changes},
        "hardware": {"device": "a device"},
        "images_per_s": 50.0,
        "peak_bytes": peak_bytes or {},
    }
    (path / "record.json").write_text(json.dumps(content))
    return SpeedRecord.read(path / "record.json")


def job(gpus_per_actor=0, model="refinenet_lw50", **fingerprint):
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"name": model, "checkpoint": "none.pth"},
            "datasets": [{"name": "d", "images": "i/*.png", "classes": ["a", "b"]}],
            "output": "out",
        }
    )
    same = {name: SETTING[name] for name in ("precision", "scales", "num_classes")}
    return Job(spec, None, gpus_per_actor, {**same, **fingerprint})


def test_the_speed_is_that_of_the_networks_pixels(tmp_path):
    speed = read(tmp_path).speed()

    assert speed.pixel_s.value == pytest.approx(1 / (50 * 64 * 96))
    assert speed.images == 10
    assert speed.measured_on == f"a device, by {tmp_path / 'record.json'}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "is no record of a benchmark"),
        ('{"setting": {}}', "is no record of a benchmark"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, words):
    path = tmp_path / "record.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(SpecError, match=words) as caught:
        SpeedRecord.read(path)

    assert str(path) in str(caught.value)


def test_a_record_of_another_model_or_device_does_not_tell_a_jobs_speed(tmp_path):
    on_cpu, on_gpu = read(tmp_path), read(tmp_path, peak_bytes={"loop": 1})

    on_cpu.check(job())
    on_gpu.check(job(1))
    with pytest.raises(SpecError, match="is of the model refinenet_lw50, the job's is refinenet"):
        on_cpu.check(job(model="refinenet101"))
    with pytest.raises(SpecError, match=r"is of a CPU .*, the job runs on GPUs"):
        on_cpu.check(job(1))
    with pytest.raises(SpecError, match=r"is of a GPU .*, the job runs on CPUs"):
        on_gpu.check(job())


def test_where_the_record_differs_from_the_job_is_said(tmp_path):
    record = read(tmp_path)

    same, other = record.notes(job()), record.notes(job(scales=[0.5, 1.0], precision="bfloat16"))

    assert len(same) == 1
    assert "precision float32 there, bfloat16 in the job" in other[1]
    assert "scales [1.0] there, [0.5, 1.0] in the job" in other[1]
