"""The run on Ray: read → segment → commit as stages of one streaming dataset."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.commit import Committer
from pipeline.job import Job
from pipeline.output import Output
from pipeline.ray_session import running_ray
from pipeline.reader import Reader
from pipeline.receipt import Receipt
from pipeline.spec import ActorsSpec
from pipeline.storage import Storage
from pipeline.work_item import WorkItem, pack_items

# Logical CPUs, for scheduling. An actor claims less than its threads: on a machine of two cores
# the reading and writing tasks would otherwise wait for a CPU that the actor holds for ever.
_READER_CPUS = 0.25
_ACTOR_CPUS = 0.5
_COMMITTER_CPUS = 0.25
_MOST_ROWS = 1250  # of work: 20,000 parts; above that, a row holds several shards
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
            import torch  # noqa: PLC0415 - readers and writers, who import this, need none

            most = max(1, math.floor(torch.cuda.device_count() / job.gpus_per_actor))
        actors = ActorsSpec(min=most, max=most)
    threads = job.spec.resources.threads_per_actor or max(1, (cores or 1) // actors.max)
    return Pool(actors, threads)


def execute(
    job: Job, output: Output, storage: Storage, items: Sequence[WorkItem]
) -> Iterator[Receipt]:
    """Make the parts that some shards lack; yield a receipt as each is committed.

    A part that fails is tried again a bounded number of times, then left out: compare the plan
    with a listing afterwards, never with the receipts.
    """
    pa.default_memory_pool().release_unused()  # what planning a million images took
    with running_ray(retries=_RETRIES):
        # Ray takes more than a second to import: only now is it sure that there is work for it.
        import ray.data  # noqa: PLC0415

        from pipeline.segmenter import Segmenter  # noqa: PLC0415 - imports PyTorch

        # Retry counts have no other way in yet; Ray is pinned below the version that drops this.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        # Said of a run whose parts turn out to be there already: nothing to act on.
        warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
        pool = plan_pool(job)
        rows = pack_items(items, rows=_MOST_ROWS)
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        stages = (
            dataset.map_batches(
                Reader(job.spec, output, storage),
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
                # Ray's default is to retry for ever. Restarts of the actor stay unbounded, as is
                # Ray's default: with the last one used up the run would wait for ever (measured),
                # and bounded retries bound them as well.
                max_task_retries=_RETRIES,
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
