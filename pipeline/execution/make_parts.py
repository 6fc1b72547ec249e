"""The making of parts: a first pass over all that is missing, a second one over what failed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.datasets.plan import DatasetPlan
from pipeline.execution.executor import Executor, JobRun
from pipeline.execution.observer import Observer
from pipeline.execution.prometheus import parts_left
from pipeline.execution.signals import Interruption
from pipeline.output.work_item import WorkItem
from pipeline.stages.receipt import Receipt

_STOPPING_S = 60.0  # for what is in flight when a run is asked to stop


@dataclass(frozen=True)
class Execution:
    """The making of parts.

    Attributes:
        job_run: What they are made by, and where they go.
        plans: The plan of each dataset.
        observer: Is told of a second pass, and of a wish to stop.
        executor: Runs the stages.
    """

    job_run: JobRun
    plans: Sequence[DatasetPlan]
    observer: Observer
    executor: Executor

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
        executor = self.executor
        with executor.running():
            stop = executor.stop_flag()
            left = parts_left(self.plans, items)
            counted = executor.counter(self.job_run.job.spec.name, left)

            def ask_to_stop() -> None:
                stop.raise_()
                self.observer.stopping(_STOPPING_S)

            with Interruption(ask_to_stop, limit_s=_STOPPING_S) as interruption:
                first = executor.run_pass(self.job_run, items, stop, isolating=False)
                yield from counted(first)
                left_out = self.job_run.output.left_out(self.plans)
                if left_out and not interruption.requested:
                    self.observer.isolating(len(left_out))
                    second = executor.run_pass(self.job_run, left_out, stop, isolating=True)
                    yield from counted(second)
                if interruption.requested:
                    raise KeyboardInterrupt
