"""The command `run`: what it prints, for people and for programs, and its exit codes."""

import json

import pytest

from in_process import invoke


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
def test_more_failures_than_tolerated_end_with_exit_code_1_and_a_sentence(tiny_job):
    (tiny_job.root / "images/picture-01.png").write_bytes(b"not an image")
    spec = tiny_job.write_spec()

    refused = invoke("run", spec)
    tiny_job.spec["tolerance"] = {"failed_images": 1}
    tolerated = invoke("run", tiny_job.write_spec())

    assert refused.exit_code == 1
    assert "1 images failed, more than `tolerance` allows" in refused.stdout
    assert tolerated.exit_code == 0


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
