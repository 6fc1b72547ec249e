"""Metrics: counted from receipts, without harm to a run, and as the documentation has them."""

import json
import logging
import re
import time
import urllib.request
from collections import Counter
from pathlib import Path

import promql_parser
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.datasets.plan import SHARDS_SCHEMA, DatasetPlan
from pipeline.execution.prometheus import METRICS, RunMetrics, flush_counts, parts_left
from pipeline.output.part_name import Part
from pipeline.output.work_item import WorkItem
from pipeline.stages.receipt import ActorSeconds, Receipt, StageSeconds

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_once_flushed_the_port_shows_every_part_and_another_jobs_are_not_waited_for(caplog):
    """The last counts of a driver were once lost: Ray sends them now and then."""
    caplog.set_level(logging.WARNING)
    name = 'quo"ted'
    list(RunMetrics(name, {"d": 7}).count(iter([receipt()] * 7)))

    flush_counts(name)
    flush_counts("of which nothing was counted")

    node = next(each for each in ray_nodes() if each["Alive"])
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    [shown] = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "ray_refinenet_batch_parts_total" and sample.labels["job_name"] == name
    ]
    assert shown == 7
    assert caplog.records == []


def ray_nodes():
    import ray

    return ray.nodes()


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


def test_parts_that_are_left_are_counted_only_where_the_plan_tells():
    rows = [{"shard": n, "uri": n, "size_bytes": 1, "stamp": "1"} for n in ("a.tar", "b.tar")]
    tars = DatasetPlan("tars", pa.Table.from_pylist(rows, schema=SHARDS_SCHEMA))
    listed = DatasetPlan(
        "listed", pa.table({"shard": ["s"] * 5, "part": pa.array([0, 0, 1, 1, 2], pa.int32())})
    )
    items = [
        *(WorkItem.of(shard, [], None) for shard in tars.shards),
        *(WorkItem.of(shard, [1], None) for shard in listed.shards),
    ]

    assert parts_left([tars, listed], items) == {"listed": 2}
