"""Metrics: what Prometheus sees of a run, where it is documented, and the dashboard of it."""

import json
import logging
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from command import kill_tree
from pipeline.execution.prometheus import METRICS, RunMetrics
from pipeline.output.part_name import Part
from pipeline.stages.receipt import ActorSeconds, Receipt, StageSeconds
from tiny_job import TinyJob

ROOT = Path(__file__).resolve().parents[2]
IMAGES, PARTS = 90, 45


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
@pytest.mark.timeout(120)
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
@pytest.mark.timeout(120)
def test_the_port_shows_how_far_a_run_is_while_it_goes_on(scrapes):
    parts = [value(found, "parts_total", dataset="pictures") for found in scrapes]
    left = [value(found, "parts_left", dataset="pictures") for found in scrapes]

    under_way = [(done, to_do) for done, to_do in zip(parts, left, strict=True) if 0 < done < PARTS]
    assert parts == sorted(parts)
    assert under_way
    assert all(done + to_do == PARTS for done, to_do in under_way)


def receipt():
    seconds = StageSeconds(0.1, 0.2, 0.3, 0.4, 0.5)
    actor_s = ActorSeconds(queued_s=1.0, waited_s=0.5, worked_s=2.0)
    return Receipt(Part("d", "s", 0, 8, "end"), {"crashed": 1}, seconds, 2, actor_s=actor_s)


def test_metrics_that_fail_are_said_once_and_the_receipts_pass(caplog):
    caplog.set_level(logging.WARNING)  # Ray, once it has run, leaves handlers at ERROR
    receipts = [receipt()] * 3

    passed = list(RunMetrics(17, {}).count(iter(receipts)))  # Ray takes text alone

    assert passed == receipts
    [record] = caplog.records
    assert "no metrics from here on: TypeError" in record.getMessage()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_counting_a_part_takes_less_than_a_millisecond():
    """A part takes an actor a second and more; the best of five, since the machine may be busy."""
    metrics = RunMetrics("cost", {"d": 1000})
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        list(metrics.count(iter([receipt()] * 200)))
        seconds.append((time.perf_counter() - start) / 200)

    assert min(seconds) < 1e-3


def test_the_documentation_has_every_metric_as_it_is():
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `(ray_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", text, re.MULTILINE)

    assert [(name, kind, labels.strip(), meaning) for name, kind, labels, meaning in rows] == [
        (
            metric.shown_as,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.meaning,
        )
        for metric in METRICS
    ]


def dashboard():
    return json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text(encoding="utf-8"))


def test_the_dashboard_shows_every_metric_and_no_other():
    queries = [query["expr"] for panel in dashboard()["panels"] for query in panel["targets"]]
    variables = [
        variable["query"]["query"]
        for variable in dashboard()["templating"]["list"]
        if variable["type"] == "query"
    ]

    named = {
        re.sub("_(bucket|sum|count)$", "", name)
        for query in (*queries, *variables)
        for name in re.findall(r"\b(?:ray|refinenet)_\w+", query)
    }

    assert named == {metric.shown_as for metric in METRICS}
    for query in queries:
        labels = {label for metric in METRICS for label in metric.labels}
        assert set(re.findall(r"by \(([\w, ]+)\)", query)) <= {*labels, "le", "dataset, status"}
        assert query.count("{") == query.count('{job_name=~"$job_name"')
        promql_parser.parse(query.replace("$__rate_interval", "1m"))


def test_the_dashboards_panels_have_a_place_each():
    panels = dashboard()["panels"]

    places = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert set(places.values()) == {1}
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
