"""Metrics: what Prometheus sees of a run, while it goes on and at its end."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from command import kill_tree
from pipeline.execution.prometheus import METRICS
from tiny_job import TinyJob

IMAGES, PARTS = 50, 25


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def scrape(port):
    """Return each value of ours by name and labels; nothing while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    labels = {"job_name", *(label for metric in METRICS for label in metric.labels)}
    return {
        (
            sample.name,
            *sorted((k, v) for k, v in sample.labels.items() if k in labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("ray_refinenet_batch_") and "le" not in sample.labels
    }


def last_scrapes(port):
    """Return what a port shows until two reports, a second apart, are the same."""
    seen = [scrape(port)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(2.5)
        seen.append(scrape(port))
        if seen[-1] and seen[-1] == seen[-2]:
            break
    return seen


def value(found, name, **labels):
    named = {"job_name": "tiny", **labels}
    return found.get((f"ray_refinenet_batch_{name}", *sorted(named.items())), 0)


@pytest.fixture(scope="module")
def job(tmp_path_factory, checkpoint):
    """A job of many small parts, two of whose images are broken."""
    job = TinyJob.make(tmp_path_factory.mktemp("metrics"), checkpoint, images=IMAGES)
    job.spec |= {"part_images": 2, "tolerance": {"failed_images": 2}}
    for number in (3, 40):
        path = job.root / "images" / f"picture-{number:02d}.png"
        path.write_bytes(path.read_bytes()[:100])
    return job


@pytest.fixture(scope="module")
def scrapes(job):
    """What a port shows while the job runs, and at last."""
    port = free_port()
    driver = Path(__file__).parents[1] / "support" / "metrics_driver.py"
    process = subprocess.Popen(
        [sys.executable, str(driver), str(port), "run", str(job.write_spec()), "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []
    try:
        while not (job.output / "summary.json").exists():
            assert process.poll() is None, process.communicate()
            seen.append(scrape(port))
            time.sleep(0.25)
        seen += last_scrapes(port)
        output, errors = process.communicate(timeout=60)
        assert output.endswith("ended\n"), errors
        assert process.returncode == 0, errors
    finally:
        if process.poll() is None:
            kill_tree(process)
    return seen


@pytest.mark.ray
def test_what_the_port_shows_agrees_with_the_summary(job, scrapes):
    last = scrapes[-1]

    summary = json.loads((job.output / "summary.json").read_text())
    [dataset], run = summary["datasets"], summary["last_run"]
    ours = {"dataset": "pictures"}
    assert dataset["statuses"] == {"ok": IMAGES - 2, "undecodable": 2}
    assert {
        status: value(last, "images_total", status=status, **ours) for status in dataset["statuses"]
    } == dataset["statuses"]
    assert value(last, "parts_total", **ours) == PARTS
    assert value(last, "part_seconds_count", **ours) == PARTS
    assert value(last, "parts_left", **ours) == 0
    assert value(last, "storage_retries_total") == run["storage_retries"] == 0
    for name, seconds in run["stage_s"].items():
        stage = name.removesuffix("_s")
        shown = value(last, "stage_seconds_total", stage=stage, **ours)
        assert shown == pytest.approx(seconds, abs=2e-3)
    states = {
        state: value(last, "actor_seconds_total", state=state)
        for state in ("predicting", "working", "waiting")
    }
    actor_s = run["actor_s"]
    assert states["predicting"] == pytest.approx(run["stage_s"]["predict_s"], abs=2e-3)
    assert sum(states.values()) == pytest.approx(
        actor_s["worked_s"] + actor_s["waited_s"], abs=5e-3
    )
    assert value(last, "queued_seconds_total") == pytest.approx(actor_s["queued_s"], abs=2e-3)
    # One actor: its time is that between its first part and its last, but for what Ray does.
    assert 0.7 * run["making_s"] < sum(states.values()) <= run["making_s"] + 5e-3


@pytest.mark.ray
def test_the_port_shows_how_far_a_run_is_while_it_goes_on(scrapes):
    parts = [value(found, "parts_total", dataset="pictures") for found in scrapes]
    # Ray takes one value after another while the run goes on: their sum is right at rest alone.
    left = [value(found, "parts_left", dataset="pictures") for found in scrapes if found]

    assert parts == sorted(parts)
    assert [done for done in parts if 0 < done < PARTS]
    assert left == sorted(left, reverse=True)
    assert [to_do for to_do in left if 0 < to_do < PARTS]
