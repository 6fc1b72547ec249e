"""The actor pool of a run: its size, by the spec and by what this machine or a cluster has."""

import math
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ClusterError, DeviceError
from pipeline.spec.job_spec import ActorsSpec, JobSpec, ResourcesSpec
from pipeline.spec.resolved_job import Job, device_of
from pipeline.stages.hardware import gpu_precision, usable_cores

_GPU_TIMEOUT_S = 900  # a machine with a GPU may have to be started first


@dataclass(frozen=True)
class Node:
    """A node that takes work, with its logical CPUs and GPUs."""

    node_id: str
    ip: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class ClusterNodes:
    """The nodes of a cluster that take work, as they are when a run begins."""

    address: str
    nodes: tuple[Node, ...]

    def settle(self, spec: JobSpec) -> JobSpec:
        """Return a job whose resources are the cluster's where its spec leaves them open.

        What the spec says is not compared with what there is: a cluster may grow when asked to.

        Raises:
            ClusterError: The precision is the GPUs' to decide, and none is to be had.
            DeviceError: A node has a GPU by Ray's account, and PyTorch finds none.
        """
        asked = spec.resources
        gpus_each = 0.0
        if spec.model is not None:
            gpus_each = self._gpus_each(asked)
        actors = asked.actors or self._actors(spec, gpus_each)
        threads = asked.threads_per_actor or self._threads(actors)
        inference = spec.inference
        if device_of(spec, gpus_each) == "cuda" and inference.precision == "auto":
            inference = inference.model_copy(update={"precision": self._precision(gpus_each)})
        resources = ResourcesSpec(
            actors=actors,
            gpus_per_actor=gpus_each,
            threads_per_actor=threads,
            device=asked.device,
            executor=asked.executor,
        )
        return spec.model_copy(update={"resources": resources, "inference": inference})

    def _gpus_each(self, asked: ResourcesSpec) -> float:
        """Give each actor a GPU if there are any, or if they are asked for and have yet to come."""
        if asked.gpus_per_actor != "auto":
            return float(asked.gpus_per_actor)
        there = any(node.gpus for node in self.nodes)
        return float(asked.device == "cuda" or (there and asked.device == "auto"))

    def _actors(self, spec: JobSpec, gpus_each: float) -> ActorsSpec:
        if spec.model is None:  # little of its work is done outside Python's lock
            return ActorsSpec(max=max(1, int(sum(node.cpus for node in self.nodes))))
        most = len(self.nodes)
        if gpus_each:
            most = sum(math.floor(node.gpus / gpus_each) for node in self.nodes)
        return ActorsSpec(min=max(1, most), max=max(1, most))

    def _threads(self, actors: ActorsSpec) -> int | None:
        """Share out the smallest node's CPUs."""
        if not self.nodes:
            return None
        on_each = math.ceil(actors.max / len(self.nodes))
        return max(1, int(min(node.cpus for node in self.nodes)) // on_each)

    def _precision(self, gpus_each: float) -> str:
        """Ask a worker with a GPU: this machine may have none."""
        import ray  # noqa: PLC0415 - takes more than a second

        task: Any = ray.remote(num_cpus=0, num_gpus=gpus_each)(gpu_precision)
        try:
            precision: str = ray.get(task.remote(), timeout=_GPU_TIMEOUT_S)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DeviceError):
                raise error.cause from error
            raise
        except ray.exceptions.RayError as error:
            raise ClusterError(
                self.address,
                f"no worker with {gpus_each:g} GPUs answers: {error}; give inference.precision, or "
                "gpus_per_actor: 0",
            ) from error
        return precision


@dataclass(frozen=True)
class Pool:
    """The actor pool of a run: how many actors, and the threads of each."""

    actors: ActorsSpec
    threads: int


def plan_pool(job: Job) -> Pool:
    """Decide on the actor pool from the spec, the GPUs and the cores of this machine."""
    cores = usable_cores()
    if job.spec.resources.actors:
        actors = job.spec.resources.actors
    elif job.spec.model is None:  # little of its work is done outside Python's lock
        actors = ActorsSpec(max=cores)
    else:
        most = 1
        if job.gpus_per_actor:
            import torch  # noqa: PLC0415 - readers and writers, who import this, need none

            most = max(1, math.floor(torch.cuda.device_count() / job.gpus_per_actor))
        actors = ActorsSpec(min=most, max=most)
    threads = job.spec.resources.threads_per_actor or max(1, cores // actors.max)
    return Pool(actors, threads)
