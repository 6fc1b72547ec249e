"""What runs a job's stages: this process for small jobs, Ray for others, and why is said."""

import pyarrow as pa
import pytest

from in_process import invoke
from pipeline.datasets.plan import SHARDS_SCHEMA, DatasetPlan
from pipeline.execution.choose_executor import LOCAL_IMAGES, choose_executor
from pipeline.execution.local import Local
from pipeline.execution.prepare_job import prepare_job
from pipeline.execution.ray_data import RayData
from pipeline.storage.storage import Storage


@pytest.fixture
def prepared(tiny_job, monkeypatch):
    """Prepare the job with some resources; no Ray runs in this process, whatever ran before."""
    monkeypatch.setattr("pipeline.execution.choose_executor._ray_runs", lambda: False)

    def prepare(**resources):
        tiny_job.spec["resources"] = resources
        return prepare_job(tiny_job.validated(), Storage())

    return prepare


def plan(images=None, size_bytes=1000):
    row = {"shard": "s", "uri": "file:///s.tar", "size_bytes": size_bytes, "stamp": "1"}
    row |= {"images": images, "take_images": None}
    empty = dict.fromkeys(SHARDS_SCHEMA.names)
    return DatasetPlan("d", pa.Table.from_pylist([empty | row], SHARDS_SCHEMA))


@pytest.mark.parametrize(
    ("plans", "resources", "expected"),
    [
        ([plan(LOCAL_IMAGES)], {}, ("local", "1,000 images")),
        ([plan(LOCAL_IMAGES), plan(1)], {}, ("ray", "1,001 images")),
        ([plan(3), plan(None, 2_000_000)], {}, ("local", "3 images, and 2 MB of shards")),
        ([plan(None, 100_000_000)], {}, ("ray", "0 images, and 100 MB of shards")),
        ([plan(3)], {"actors": {"max": 2}}, ("ray", "resources.actors asks for up to 2")),
        ([plan(3)], {"actors": {"max": 1}}, ("local", "3 images")),
        ([plan(3)], {"executor": "ray"}, ("ray", "resources.executor is 'ray'")),
        ([plan(9999)], {"executor": "local"}, ("local", "resources.executor is 'local'")),
    ],
)
def test_it_follows_from_the_job_and_this_machine(prepared, plans, resources, expected):
    executor, *told = choose_executor(prepared(**resources), plans, address=False)

    assert tuple(told) == expected
    assert isinstance(executor, {"local": Local, "ray": RayData}[expected[0]])


def test_on_a_cluster_it_is_ray_and_nothing_else(prepared):
    assert choose_executor(prepared(), [plan(3)], address=True)[1:] == (
        "ray",
        "the run has joined a cluster",
    )


def test_this_process_and_an_address_exclude_each_other_before_any_work(tiny_job):
    tiny_job.spec["resources"] = {"executor": "local"}

    done = invoke("run", tiny_job.write_spec(), "--address", "127.0.0.1:9")

    assert done.exit_code == 2
    assert "resources.executor: is 'local', but the run has an address" in done.stderr
    assert not tiny_job.output.exists()


def test_a_process_that_has_a_ray_uses_it(prepared, monkeypatch):
    monkeypatch.setattr("pipeline.execution.choose_executor._ray_runs", lambda: True)

    assert choose_executor(prepared(), [plan(3)], address=False)[1] == "ray"
