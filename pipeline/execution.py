"""The run on Ray: read → segment → commit as stages of one streaming dataset."""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from pipeline.commit import Committer
from pipeline.job import Job
from pipeline.output import Output
from pipeline.plan import Shard
from pipeline.reader import Reader, work_item
from pipeline.receipt import Receipt
from pipeline.segmenter import Segmenter
from pipeline.spec import ActorsSpec
from pipeline.storage import Storage

# Logical CPUs, for scheduling. An actor claims less than its threads: on a machine of two cores
# the reading and writing tasks would otherwise wait for a CPU that the actor holds for ever.
_READER_CPUS = 0.25
_ACTOR_CPUS = 0.5
_COMMITTER_CPUS = 0.25
_RETRIES = 2  # of a part in one run; what still fails then is reported, and tried by the next run


@dataclass(frozen=True)
class Pool:
    """The actor pool of a run: how many actors, and the threads of each."""

    actors: ActorsSpec
    threads: int


def plan_pool(job: Job) -> Pool:
    """Decide on the actor pool from the spec, the GPUs and the cores of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if job.spec.resources.actors:
        actors = job.spec.resources.actors
    else:
        most = 1
        if job.gpus_per_actor:
            most = max(1, math.floor(torch.cuda.device_count() / job.gpus_per_actor))
        actors = ActorsSpec(min=most, max=most)
    threads = job.spec.resources.threads_per_actor or max(1, (cores or 1) // actors.max)
    return Pool(actors, threads)


def execute(
    job: Job, output: Output, storage: Storage, shards: Sequence[Shard]
) -> Iterator[Receipt]:
    """Make the parts of some shards; yield a receipt as each is committed.

    A part that fails is tried again a bounded number of times, then left out: compare the plan
    with a listing afterwards, never with the receipts.
    """
    with _ray():
        # Ray takes more than a second to import: only now is it sure that there is work for it.
        import ray.data  # noqa: PLC0415

        _configure_ray_data()
        # Retry counts have no other way in yet; Ray is pinned below the version that drops this.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        pool = plan_pool(job)
        dataset = ray.data.from_items(
            [work_item(shard) for shard in shards], override_num_blocks=len(shards)
        )
        stages = (
            dataset.map_batches(
                Reader(output, storage),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=_READER_CPUS,
            )
            .map_batches(
                Segmenter,
                fn_constructor_args=(job, storage),
                fn_constructor_kwargs={"threads": pool.threads},
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=_ACTOR_CPUS,
                num_gpus=job.gpus_per_actor,
                compute=ray.data.ActorPoolStrategy(
                    min_size=pool.actors.min,
                    max_size=pool.actors.max,
                    max_tasks_in_flight_per_actor=2,
                ),
                max_task_retries=_RETRIES,  # Ray's default is to try for ever
            )
            .map_batches(
                Committer(output),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=_COMMITTER_CPUS,
            )
        )
        tables = stages.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        for table in tables:
            yield from Receipt.from_table(table)


@contextlib.contextmanager
def _ray() -> Iterator[None]:
    """Run within the process's Ray if it has one, else within one of this run's own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Each actor pool otherwise prints an error about restarts (ray#53727) that is none here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray  # noqa: PLC0415 - as above

    if ray.is_initialized():
        yield
        return
    # "local", or Ray would join whatever cluster RAY_ADDRESS or the machine happens to offer.
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _configure_ray_data() -> None:
    from ray.data import DataContext  # noqa: PLC0415 - as above

    context = DataContext.get_current()
    context.target_max_block_size = 1  # a block per row, so that parts move on one by one
    context.enable_progress_bars = False  # the run reports its own progress, in images
    context.print_on_execution_start = False
    context.retried_map_errors = True
    context.max_map_retries = _RETRIES
    context.actor_task_retry_on_errors = True
    context.max_errored_blocks = -1  # one broken part does not end the others
    logging.getLogger("ray.data").setLevel(logging.ERROR)
