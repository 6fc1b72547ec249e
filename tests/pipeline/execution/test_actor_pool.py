"""What a job that leaves its resources open gets of a cluster."""

import subprocess
import sys

import pytest
import torch

from pipeline.execution.actor_pool import ClusterNodes, Node
from refinenet_core import resolve_precision
from tiny_job import TinyJob

CPU_NODES = (Node("a", "10.0.0.1", 8, 0), Node("b", "10.0.0.2", 6, 0))
GPU_NODES = (Node("a", "10.0.0.1", 8, 0), Node("b", "10.0.0.2", 16, 4))


@pytest.fixture
def spec(tmp_path, checkpoint):
    """A job that says nothing of resources but its precision, which needs no GPU to be settled."""
    job = TinyJob.make(tmp_path, checkpoint, images=1)
    job.spec["resources"] = {}
    job.spec["inference"]["precision"] = "float32"
    return job.spec


def settled(spec, nodes, **resources):
    from pipeline import JobSpec

    job = JobSpec.from_mapping({**spec, "resources": resources})
    result = ClusterNodes("auto", nodes).settle(job)
    assert result.model_copy(update={"resources": job.resources}) == job
    return result.resources


def test_without_gpus_each_node_has_an_actor_with_the_threads_of_the_smallest(spec):
    resources = settled(spec, CPU_NODES)

    assert (resources.actors.min, resources.actors.max) == (2, 2)
    assert (resources.gpus_per_actor, resources.threads_per_actor) == (0, 6)


def test_each_gpu_has_an_actor_and_they_share_the_smallest_nodes_cpus(spec):
    resources = settled(spec, GPU_NODES)

    assert (resources.actors.min, resources.actors.max) == (4, 4)
    assert (resources.gpus_per_actor, resources.threads_per_actor) == (1, 4)


def test_actors_on_parts_of_a_gpu_do_not_span_two(spec):
    resources = settled(spec, GPU_NODES, gpus_per_actor=0.4)

    assert resources.actors.max == 10
    assert settled(spec, (Node("a", "10.0.0.1", 8, 1.5),) * 2, gpus_per_actor=1).actors.max == 2


def test_what_the_spec_says_stays_even_if_the_cluster_has_yet_to_grow(spec):
    actors = {"min": 1, "max": 3}

    resources = settled(spec, CPU_NODES, actors=actors, gpus_per_actor=2, threads_per_actor=5)

    assert resources.model_dump() == {
        "actors": actors,
        "gpus_per_actor": 2,
        "threads_per_actor": 5,
        "device": "auto",
        "executor": "auto",
    }


def test_the_cpu_can_be_asked_for_where_there_are_gpus_which_actors_then_may_still_hold(spec):
    spec["inference"]["precision"] = "auto"  # of which no GPU is asked

    without, beside = (
        settled(spec, GPU_NODES, device="cpu"),
        settled(spec, GPU_NODES, device="cpu", gpus_per_actor=1),
    )

    assert (without.gpus_per_actor, without.actors.max, without.device) == (0, 2, "cpu")
    assert (beside.gpus_per_actor, beside.actors.max, beside.device) == (1, 4, "cpu")


def test_gpus_that_have_yet_to_come_can_be_asked_for(spec):
    resources = settled(spec, CPU_NODES, device="cuda", actors={"min": 4, "max": 4})

    assert (resources.gpus_per_actor, resources.actors.min) == (1, 4)


def test_a_job_without_a_model_takes_all_cores_and_no_gpu(spec):
    del spec["model"], spec["inference"]
    spec["datasets"][0]["predictions"] = {"encoding": "indices"}

    resources = settled(spec, GPU_NODES)

    assert (resources.actors.min, resources.actors.max) == (1, 24)
    assert resources.gpus_per_actor == 0


@pytest.mark.ray
def test_the_gpus_decide_on_the_precision(spec, tmp_path):
    """Not the machine that starts the run, which may have none, so that all would be float32.

    A GPU that is there by Ray's account alone once counted as one that has no bfloat16.
    """
    code = (
        "import sys, ray, pipeline.execution.actor_pool as cluster, pipeline\n"
        "ray.init(address='local', num_cpus=1, num_gpus=1, include_dashboard=False)\n"
        "nodes = cluster.ClusterNodes('local', (cluster.Node('a', '127.0.0.1', 1, 1),))\n"
        "spec = nodes.settle(pipeline.JobSpec.from_yaml(sys.argv[1]))\n"
        "print(spec.resources.gpus_per_actor, spec.inference.precision)\n"
    )
    spec["inference"]["precision"] = "auto"
    job = TinyJob(tmp_path, spec)

    told = subprocess.run(
        [sys.executable, "-c", code, str(job.write_spec())],
        capture_output=True,
        text=True,
        check=False,
    )

    if torch.cuda.is_available():
        assert told.stdout.split()[-2:] == ["1.0", resolve_precision("auto", "cuda")]
    else:
        assert "pipeline.errors.DeviceError: " in told.stderr
        assert "PyTorch finds none" in told.stderr
