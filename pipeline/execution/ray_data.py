"""The run on Ray: read → segment, score or fuse → commit as stages of one streaming dataset."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import ActorError, StorageError
from pipeline.execution.actor_pool import plan_pool
from pipeline.execution.observer import Observer
from pipeline.execution.prometheus import RunMetrics, parts_left
from pipeline.execution.ray_session import TASK_RETRIES, running_ray
from pipeline.execution.signals import Interruption
from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
from pipeline.output.work_item import WorkItem, legs, pack_items
from pipeline.spec.resolved_job import Job
from pipeline.stages.committer import Committer
from pipeline.stages.reader import Reader
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import StopFlag

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
_STOPPING_S = 60.0  # for what is in flight when a run is asked to stop


@dataclass(frozen=True)
class Execution:
    """The making of parts.

    Attributes:
        job: What to do, and how.
        output: Where the parts go.
        record: What the output's `job.json` said when the run began.
        plans: The plan of each dataset.
        observer: Is told of a second pass, and of a wish to stop.
        stand_in: Makes the parts in place of the job's own part maker; for benchmarks.
    """

    job: Job
    output: Output
    record: JobRecord
    plans: Sequence[DatasetPlan]
    observer: Observer
    stand_in: "type[PartMaker] | None" = None

    def make_parts(self, items: Sequence[WorkItem]) -> Iterator[Receipt]:
        """Make the parts of work items; yield a receipt as each is committed.

        A first pass takes all of them, each with a bounded number of retries. What is missing then
        is taken by a second pass, in which images that kill their process are found. What still
        fails is left out: compare the plan with a listing afterwards, never with the receipts.

        Raises:
            StorageError: The output takes no more parts.
            KeyboardInterrupt: The run was asked to stop, and what was in flight is committed.
        """
        if not items:
            return
        pa.default_memory_pool().release_unused()  # what planning a million images took
        with running_ray():
            # Here, since only now is it sure that there is work: importing them takes its time.
            from pipeline.stages.choose_part_maker import part_maker_of  # noqa: PLC0415
            from pipeline.stages.isolate_crashes import IsolatingPartMaker  # noqa: PLC0415

            stop = StopFlag()
            metrics = RunMetrics(self.job.spec.name, parts_left(self.plans, items))

            def ask_to_stop() -> None:
                stop.raise_()
                self.observer.stopping(_STOPPING_S)

            with Interruption(ask_to_stop, limit_s=_STOPPING_S) as interruption:
                make = self.stand_in or part_maker_of(self.job)
                for leg in legs(items, self.job.spec.part_images, most_parts=_LEG_PARTS):
                    if not interruption.requested:
                        yield from metrics.count(self._pass(leg, make, stop))
                left_out = self.output.left_out(self.plans)
                if left_out and not interruption.requested:
                    self.observer.isolating(len(left_out))
                    second = self._pass(left_out, IsolatingPartMaker, stop)
                    yield from metrics.count(second)
                if interruption.requested:
                    raise KeyboardInterrupt

    def _pass(
        self,
        items: Sequence[WorkItem],
        make: "type[PartMaker | IsolatingPartMaker]",
        stop: StopFlag,
    ) -> Iterator[Receipt]:
        """Run work items through the stages once."""
        import ray.data  # noqa: PLC0415 - as in `make_parts`

        # Retry counts have no other way in yet; Ray is pinned below the version that drops this.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        # Said of a run whose parts turn out to be there already: nothing to act on.
        warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
        pool = plan_pool(self.job)
        rows = pack_items(items, rows=_MOST_ROWS)
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        stages = (
            dataset.map_batches(
                Reader(self.job.spec, self.output, stop),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=_READER_CPUS,
            )
            .map_batches(
                make,
                fn_constructor_args=(self.job, self.output.storage),
                fn_constructor_kwargs={"threads": pool.threads, "stop": stop},
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=ACTOR_CPUS,
                num_gpus=self.job.gpus_per_actor,
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
                Committer(self.output, self.record),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=_COMMITTER_CPUS,
            )
        )
        for table in _telling_why(_tables(stages)):
            for receipt in Receipt.from_table(table):
                if receipt.refused:
                    raise StorageError(self.output.part_uri(receipt.part), receipt.refused)
                yield receipt


def _tables(stages: "Dataset") -> Iterator[pa.Table]:
    """Yield what stages put out, as it comes; leaving off early ends them.

    `iter_batches` would do the same, but sends what Ray keeps of each part to a process of its
    statistics every five seconds: with 1,500 parts a sixth of the driver's time, and growing.
    """
    import ray  # noqa: PLC0415 - as in `make_parts`

    for bundle in stages.iter_internal_ref_bundles():
        for entry in bundle.blocks:
            table = ray.get(entry.ref)
            if table.num_rows:
                yield table


def _telling_why(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Pass on tables; if no actor can be made, say why in our own words where there are some."""
    from ray.exceptions import ActorDiedError  # noqa: PLC0415 - as in `make_parts`

    try:
        yield from tables
    except ActorDiedError as error:
        # Ray keeps of what its constructor has raised the text alone, with the stack above.
        kind, _, reason = str(error).strip().splitlines()[-1].partition(": ")
        if not kind.startswith(("pipeline.", "refinenet_core.")):
            raise
        raise ActorError(reason) from error
