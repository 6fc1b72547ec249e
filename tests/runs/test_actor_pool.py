"""The actor pool on a cluster with GPUs: where actors are, how many, and what losing one costs."""

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

import command
from tiny_job import TinyJob

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

IMAGES, PARTS = 96, 48
_ACTOR, _OTHERS = "ray::MapWorker(MapBatches(Segmenter))", "ray::MapBatches("


@dataclass
class GpuCluster:
    """A running `gpu_cluster.py`; nodes are known by the processes that start their workers."""

    process: subprocess.Popen
    environment: dict[str, str]
    address: str = ""
    head: int = 0
    gpu: list[int] = field(default_factory=list)
    cpu: int = 0

    def remove(self, number: int) -> None:
        """Remove a node with a GPU at once."""
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def nodes_of(self, title: str) -> list[int]:
        """Return the node of each process whose title begins so."""
        nodes = []
        for node in (self.head, *self.gpu, self.cpu):
            if psutil.pid_exists(node):
                nodes += [node for each in titles_below(node) if each.startswith(title)]
        return nodes


def titles_below(process_id):
    """Return the titles of a process's children, those that end meanwhile left out."""
    titles = []
    try:
        children = psutil.Process(process_id).children()
    except psutil.NoSuchProcess:
        return []
    for child in children:
        try:
            titles.append(" ".join(child.cmdline()))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return titles


@pytest.fixture(scope="module")
def cluster():
    """A head, four nodes with a pretended GPU, and a node without."""
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    script = Path(__file__).parents[1] / "support" / "gpu_cluster.py"
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        told = process.stdout.readline()
        assert told, process.communicate()
        yield GpuCluster(process, environment, **json.loads(told))
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            command.kill_tree(process)


@pytest.fixture
def job(tmp_path, checkpoint):
    """A job that keeps four actors busy for a while."""
    job = TinyJob.make(tmp_path, checkpoint, images=IMAGES)
    job.spec["part_images"] = IMAGES // PARTS
    job.spec["inference"] = {"scales": [6.0, 7.0, 8.0]}
    return job


def start(cluster, job):
    spec = job.write_spec()
    arguments = ("run", spec, "--address", cluster.address, "--log-format", "json")
    return command.start(*arguments, environment=cluster.environment)


def part_files(output):
    return {str(path.relative_to(output)): path for path in (output / "masks").glob("*/*.parquet")}


def test_a_gpu_that_pytorch_does_not_find_is_refused_before_any_work(cluster, job):
    job.spec["resources"] = {"threads_per_actor": 1}

    process = start(cluster, job)
    output, errors = process.communicate(timeout=120)

    last = json.loads(errors.splitlines()[-1])
    assert process.returncode == 2, errors
    assert last["event"] == "failed"
    assert "Ray gives actors a GPU there, but PyTorch finds none" in last["message"]
    assert "set resources.device to cpu" in last["message"]
    assert output == ""
    assert not job.output.exists()


@pytest.mark.slow
def test_actors_take_the_gpus_grow_to_all_of_them_and_a_lost_node_costs_only_its_parts(
    cluster, job, tmp_path
):
    job.spec["resources"] = {
        "actors": {"min": 1, "max": 4},
        "gpus_per_actor": 1,
        "threads_per_actor": 1,
        "device": "cpu",  # the GPUs are pretended
    }

    process = start(cluster, job)
    sizes, others = [], set()
    while process.poll() is None and not (
        sizes and sizes[-1] == len(cluster.gpu) and part_files(job.output)
    ):
        nodes = cluster.nodes_of(_ACTOR)
        others |= set(cluster.nodes_of(_OTHERS))
        assert set(nodes) <= set(cluster.gpu)
        assert len(nodes) == len(set(nodes)), "two actors share a GPU"
        sizes += [len(nodes)] if nodes else []
        time.sleep(0.1)
    committed = {name: path.stat() for name, path in part_files(job.output).items()}
    cluster.remove(0)
    _, errors = process.communicate(timeout=240)

    assert process.returncode == 0, errors
    assert sizes[0] == 1
    assert sizes[-1] == len(cluster.gpu), f"{len(committed)} parts were done: {errors}"
    assert others
    assert cluster.head not in others
    assert 0 < len(committed) < PARTS
    after = part_files(job.output)
    assert len(after) == PARTS
    for name, before in committed.items():
        now = after[name].stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    told = [json.loads(line) for line in errors.splitlines()]
    parts = [(line["shard"], line["part"]) for line in told if line["event"] == "committed"]
    assert len(parts) == len(set(parts))
    assert [line["event"] for line in told].count("finished") == 1

    here = {"threads_per_actor": 1, "actors": {"min": 2, "max": 2}}
    job.spec |= {"output": str(tmp_path / "local"), "resources": here}
    local = command.run("run", job.write_spec(), ray=False)

    assert local.returncode == 0, local.stderr
    assert {name: path.read_bytes() for name, path in part_files(tmp_path / "local").items()} == {
        name: path.read_bytes() for name, path in after.items()
    }
