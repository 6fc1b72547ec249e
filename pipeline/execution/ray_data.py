"""The stages on Ray: read → segment, score or fuse → commit as one streaming dataset."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import ActorError
from pipeline.execution.actor_pool import plan_pool
from pipeline.execution.executor import JobRun
from pipeline.execution.prometheus import RunMetrics
from pipeline.execution.ray_session import TASK_RETRIES, running_ray
from pipeline.output.work_item import WorkItem, legs, pack_items
from pipeline.stages.committer import Committer, accepted
from pipeline.stages.reader import Reader
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import RayStopFlag, StopFlag

if TYPE_CHECKING:
    from ray.data import Dataset

    from pipeline.stages.isolate_crashes import IsolatingPartMaker
    from pipeline.stages.part_maker import PartMaker

# Logical CPUs, for scheduling. An actor claims less than its threads: on a machine of two cores
# the reading and writing tasks would otherwise wait for a CPU that the actor holds for ever.
_READER_CPUS = 0.25
ACTOR_CPUS = 0.5
_COMMITTER_CPUS = 0.25
_MOST_ROWS = 1250  # of work; above that, a row holds several shards
_LEG_PARTS = 25_000  # Ray Data keeps some 4 kB of the driver's memory for each until it has ended


class RayData:
    """Runs the stages on Ray Data: the process's Ray, or one of the run's own; an `Executor`."""

    def running(self) -> AbstractContextManager[None]:
        """Have a Ray within the block."""
        return running_ray()

    def stop_flag(self) -> StopFlag:
        """Return a flag that workers on any node see."""
        return RayStopFlag()

    def counter(
        self, job_name: str, parts_left: Mapping[str, int]
    ) -> Callable[[Iterator[Receipt]], Iterator[Receipt]]:
        """Return what counts receipts for Prometheus."""
        return RunMetrics(job_name, parts_left).count

    def run_pass(
        self,
        job_run: JobRun,
        items: Sequence[WorkItem],
        stop: StopFlag,
        *,
        isolating: bool,
    ) -> Iterator[Receipt]:
        """Run work items through the stages once, leg after leg."""
        # Here, since only now is it sure that there is work: importing them takes its time.
        from pipeline.stages.isolate_crashes import IsolatingPartMaker  # noqa: PLC0415

        make = IsolatingPartMaker if isolating else job_run.part_maker()
        for leg in legs(items, job_run.job.spec.part_images, most_parts=_LEG_PARTS):
            if not stop.is_up():
                yield from _run_leg(job_run, leg, make, stop)


def _run_leg(
    job_run: JobRun,
    items: Sequence[WorkItem],
    make: "type[PartMaker | IsolatingPartMaker]",
    stop: StopFlag,
) -> Iterator[Receipt]:
    import ray.data  # noqa: PLC0415 - takes seconds, and only runs on Ray need it

    # Retry counts have no other way in yet; Ray is pinned below the version that drops this.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    # Said of a run whose parts turn out to be there already: nothing to act on.
    warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
    pool = plan_pool(job_run.job)
    rows = pack_items(items, rows=_MOST_ROWS)
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    stages = (
        dataset.map_batches(
            Reader(job_run.job.spec, job_run.output, stop),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=_READER_CPUS,
        )
        .map_batches(
            make,
            fn_constructor_args=(job_run.job, job_run.output.storage),
            fn_constructor_kwargs={"threads": pool.threads, "stop": stop},
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=ACTOR_CPUS,
            num_gpus=job_run.job.gpus_per_actor,
            compute=ray.data.ActorPoolStrategy(
                min_size=pool.actors.min,
                max_size=pool.actors.max,
                max_tasks_in_flight_per_actor=2,
            ),
            # Ray's default is to retry for ever. Restarts of the actor stay unbounded, as is
            # Ray's default: with the last one used up the run would wait for ever (measured),
            # and bounded retries bound them as well.
            max_task_retries=TASK_RETRIES,
        )
        .map_batches(
            Committer(job_run.output, job_run.record),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=_COMMITTER_CPUS,
        )
    )
    for table in _telling_why(_tables(stages)):
        yield from accepted(job_run.output, table)


def _tables(stages: "Dataset") -> Iterator[pa.Table]:
    """Yield what stages put out, as it comes; leaving off early ends them.

    `iter_batches` would do the same, but sends what Ray keeps of each part to a process of its
    statistics every five seconds: with 1,500 parts a sixth of the driver's time, and growing.
    """
    import ray  # noqa: PLC0415 - as in `_run_leg`

    for bundle in stages.iter_internal_ref_bundles():
        for entry in bundle.blocks:
            table = ray.get(entry.ref)
            if table.num_rows:
                yield table


def _telling_why(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Pass on tables; if no actor can be made, say why in our own words where there are some."""
    from ray.exceptions import ActorDiedError  # noqa: PLC0415 - as in `_run_leg`

    try:
        yield from tables
    except ActorDiedError as error:
        # Ray keeps of what its constructor has raised the text alone, with the stack above.
        kind, _, reason = str(error).strip().splitlines()[-1].partition(": ")
        if not kind.startswith(("pipeline.", "refinenet_core.")):
            raise
        raise ActorError(reason) from error
