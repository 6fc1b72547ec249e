"""What runs a job's stages: this process, for small jobs, or Ray."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.datasets.plan import DatasetPlan
from pipeline.execution.executor import Executor
from pipeline.execution.local import Local
from pipeline.execution.ray_data import RayData
from pipeline.spec.resolved_job import Job

LOCAL_IMAGES = 1000
_LOCAL_BYTES = 64 << 20  # where only reading tells how many images there are

_EXECUTORS: Final[Mapping[str, type[Local] | type[RayData]]] = {"local": Local, "ray": RayData}


def choose_executor(
    job: Job, plans: Sequence[DatasetPlan], *, address: bool
) -> tuple[Executor, str, str]:
    """Choose what runs a job's stages.

    Args:
        job: What to do, and how.
        plans: The plan of each dataset.
        address: Whether the run has joined a cluster by its address.

    Returns:
        It, its name ("local" or "ray"), and why.
    """
    asked = job.spec.resources.executor
    if asked != "auto":
        return _EXECUTORS[asked](), asked, f"resources.executor is {asked!r}"
    reason = _reason_for_ray(job, plans, address=address)
    if reason is not None:
        return RayData(), "ray", reason
    return Local(), "local", _images(plans)


def _reason_for_ray(job: Job, plans: Sequence[DatasetPlan], *, address: bool) -> str | None:
    actors = job.spec.resources.actors
    if address:
        return "the run has joined a cluster"
    if _ray_runs():
        return "this process has a Ray"
    if actors is not None and actors.max > 1:
        return f"resources.actors asks for up to {actors.max}"
    if (most := _actors_on_gpus(job)) > 1:
        return f"the GPUs take {most} actors"
    if not all(_is_small(plan) for plan in plans) or _known_images(plans) > LOCAL_IMAGES:
        return _images(plans)
    return None


def _ray_runs() -> bool:
    """Say whether a Ray runs in this process: one that is not imported does not."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _actors_on_gpus(job: Job) -> int:
    if not job.gpus_per_actor:
        return 0
    import torch  # noqa: PLC0415 - the job was prepared with it; jobs without a model need none

    return math.floor(torch.cuda.device_count() / min(1.0, job.gpus_per_actor))


def _is_small(plan: DatasetPlan) -> bool:
    return plan.num_images is not None or plan.size_bytes <= _LOCAL_BYTES


def _known_images(plans: Sequence[DatasetPlan]) -> int:
    return sum(plan.num_images or 0 for plan in plans)


def _images(plans: Sequence[DatasetPlan]) -> str:
    """Say how many images are planned, as far as that is known."""
    known = f"{_known_images(plans):,} images"
    unread = sum(plan.size_bytes for plan in plans if plan.num_images is None)
    return f"{known}, and {unread / 1e6:,.0f} MB of shards" if unread else known
