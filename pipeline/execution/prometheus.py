"""Metrics: what a run's receipts say, counted for Prometheus through Ray, on the driver alone.

A part that is tried again, on another node or in a second run, has one receipt: nothing is counted
twice. Ray's agent on the driver's node shows the counts at its metrics port.
"""

import logging
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from pipeline.datasets.plan import DatasetPlan
from pipeline.output.work_item import WorkItem
from pipeline.stages.receipt import Receipt

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """A metric, as `docs/metrics.md` documents it; each has the label `job_name` as well."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str

    @property
    def shown_as(self) -> str:
        """Name at the metrics port: Ray puts its own before, and Prometheus' suffix behind."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


IMAGES: Final = Metric(
    "refinenet_batch_images", "counter", ("dataset", "status"), "Images committed."
)
PARTS: Final = Metric("refinenet_batch_parts", "counter", ("dataset",), "Parts committed.")
PARTS_LEFT: Final = Metric(
    "refinenet_batch_parts_left", "gauge", ("dataset",), "Parts planned and not yet committed."
)
STAGE_SECONDS: Final = Metric(
    "refinenet_batch_stage_seconds",
    "counter",
    ("dataset", "stage"),
    "Seconds that a stage took for committed parts, added up over workers.",
)
ACTOR_SECONDS: Final = Metric(
    "refinenet_batch_actor_seconds",
    "counter",
    ("state",),
    "Seconds of the actors, by what they were at.",
)
QUEUED_SECONDS: Final = Metric(
    "refinenet_batch_queued_seconds",
    "counter",
    (),
    "Seconds that parts, once read, waited for an actor; the rate is how many wait.",
)
PART_SECONDS: Final = Metric(
    "refinenet_batch_part_seconds",
    "histogram",
    ("dataset",),
    "Seconds that an actor was at work on a part.",
)
STORAGE_RETRIES: Final = Metric(
    "refinenet_batch_storage_retries",
    "counter",
    (),
    "Operations on a storage that were tried again for committed parts.",
)
METRICS: Final = (
    IMAGES,
    PARTS,
    PARTS_LEFT,
    STAGE_SECONDS,
    ACTOR_SECONDS,
    QUEUED_SECONDS,
    PART_SECONDS,
    STORAGE_RETRIES,
)
_FLUSH_S: Final = 20.0  # twice Ray's interval
_LOOK_S: Final = 0.5
_REFUSED: Final = 4  # times that nobody answers at the port
# Parts by job, node and worker: the latter two are this process in one of the Rays that it joins.
_COUNTED: Final[Counter[tuple[str, str, str]]] = Counter()
_PART_SECONDS_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)


class RunMetrics:
    """Count the receipts of a run; made once Ray is running.

    Metrics are for watching: whatever goes wrong with them is logged once, and the run goes on
    without them.

    Args:
        job_name: The job's name, by which its metrics are known.
        parts_left: Parts to be made, by dataset, where that is known.
    """

    def __init__(self, job_name: str, parts_left: Mapping[str, int]) -> None:
        self._tags = {"job_name": job_name}
        self._left = dict(parts_left)
        self._instruments: dict[Metric, Any] = {}
        self._off = False
        self._guard(self._begin)

    def count(self, receipts: Iterator[Receipt]) -> Iterator[Receipt]:
        """Count receipts as they pass."""
        for receipt in receipts:
            self._guard(lambda receipt=receipt: self._count(receipt))  # type: ignore[misc]
            yield receipt

    def _guard(self, record: Callable[[], None]) -> None:
        """Record something; a failure ends the metrics, not the run."""
        if self._off:
            return
        try:
            record()
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, the masks matter more
            self._off = True
            _LOG.warning("no metrics from here on: %s: %s", type(error).__name__, error)

    def _begin(self) -> None:
        from ray.util import metrics  # noqa: PLC0415 - Ray takes seconds to import

        kinds = {"counter": metrics.Counter, "gauge": metrics.Gauge, "histogram": metrics.Histogram}
        for metric in METRICS:
            more: dict[str, Any] = {}
            if metric.kind == "histogram":
                more["boundaries"] = list(_PART_SECONDS_BOUNDS)
            self._instruments[metric] = kinds[metric.kind](
                metric.name, metric.meaning, tag_keys=("job_name", *metric.labels), **more
            )
        for dataset, number in self._left.items():
            self._set(PARTS_LEFT, number, dataset=dataset)

    def _count(self, receipt: Receipt) -> None:
        dataset = receipt.part.dataset
        ok = receipt.part.images - sum(receipt.failed.values())
        for status, images in {"ok": ok, **receipt.failed}.items():
            self._add(IMAGES, images, dataset=dataset, status=status)
        self._add(PARTS, 1, dataset=dataset)
        _COUNTED[self._tags["job_name"], *_driver()] += 1
        if dataset in self._left:
            self._left[dataset] = max(0, self._left[dataset] - 1)
            self._set(PARTS_LEFT, self._left[dataset], dataset=dataset)
        for name, seconds in asdict(receipt.seconds).items():
            stage = name.removesuffix("_s")
            self._add(STAGE_SECONDS, seconds, dataset=dataset, stage=stage)
        predicted_s, actor_s = receipt.seconds.predict_s, receipt.actor_s
        self._add(ACTOR_SECONDS, predicted_s, state="predicting")
        self._add(ACTOR_SECONDS, actor_s.worked_s - predicted_s, state="working")
        self._add(ACTOR_SECONDS, actor_s.waited_s, state="waiting")
        self._add(QUEUED_SECONDS, actor_s.queued_s)
        tags = {**self._tags, "dataset": dataset}
        self._instruments[PART_SECONDS].observe(actor_s.worked_s, tags=tags)
        self._add(STORAGE_RETRIES, receipt.retries)

    def _add(self, metric: Metric, value: float, **labels: str) -> None:
        if value > 0:  # Ray refuses to add nothing
            self._instruments[metric].inc(value, tags={**self._tags, **labels})

    def _set(self, metric: Metric, value: float, **labels: str) -> None:
        self._instruments[metric].set(value, tags={**self._tags, **labels})


def flush_counts(job_name: str) -> None:
    """Wait until the port of this node shows all parts that this process has counted of a job.

    Ray sends counts every ten seconds, and those not sent when a driver ends are lost. Of a Ray
    that has ended with its run nothing is to be seen, and nothing is waited for.
    """
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return
    try:
        node_id, worker_id = _driver()
        counted = _COUNTED[job_name, node_id, worker_id]
        if counted:
            node = next(each for each in ray.nodes() if each["NodeID"] == node_id)
            _wait_until_shown(node, job_name, worker_id, counted)
    except Exception as error:  # noqa: BLE001 - as of all metrics: the masks matter more
        _LOG.warning("the last counts may be missing: %s: %s", type(error).__name__, error)


def _driver() -> tuple[str, str]:
    """Return the ids of this process's node and worker in the Ray that it is in now."""
    import ray  # noqa: PLC0415 - takes seconds, and who gets here has it

    context = ray.get_runtime_context()
    return context.get_node_id(), context.get_worker_id()


def _wait_until_shown(node: Mapping[str, Any], job_name: str, worker_id: str, counted: int) -> None:
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline = time.monotonic() + _FLUSH_S
    refused = 0
    while time.monotonic() < deadline and refused < _REFUSED:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                shown = _parts_shown(answer.read().decode(), job_name, worker_id)
        except OSError:
            refused += 1  # a Ray without the agent that shows them
        else:
            if shown >= counted:
                return
        time.sleep(_LOOK_S)
    _LOG.warning("the last counts may be missing where metrics are collected, at %s", url)


def _parts_shown(text: str, job_name: str, worker_id: str) -> float:
    """Return how many parts of a job a worker has counted, by what a port shows."""
    quoted = job_name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    shown = 0.0
    for line in text.splitlines():
        found = re.fullmatch(rf"ray_{PARTS.name}_total\{{(.*)\}} (\S+)", line)
        if found and f'WorkerId="{worker_id}"' in found[1] and f'job_name="{quoted}"' in found[1]:
            shown += float(found[2])
    return shown


def parts_left(plans: Sequence[DatasetPlan], items: Sequence[WorkItem]) -> dict[str, int]:
    """Return how many parts work items come to, by dataset, for those of which the plan tells."""
    parts = {
        plan.dataset: {
            shard.name: len(shard.part_images)
            for shard in plan.shards
            if shard.part_images is not None
        }
        for plan in plans
    }
    left: dict[str, int] = {}
    unknown = set()
    for item in items:
        number = parts[item.dataset].get(item.shard)
        if number is None:
            unknown.add(item.dataset)
        else:
            left[item.dataset] = left.get(item.dataset, 0) + number - len(item.done)
    return {dataset: number for dataset, number in left.items() if dataset not in unknown}
