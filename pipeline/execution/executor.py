"""What runs the stages: Ray Data, or this process and a child."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
from pipeline.output.work_item import WorkItem
from pipeline.spec.resolved_job import Job
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import StopFlag

if TYPE_CHECKING:
    from pipeline.stages.isolate_crashes import IsolatingPartMaker
    from pipeline.stages.part_maker import PartMaker


@dataclass(frozen=True)
class JobRun:
    """What parts are made by, and where they go.

    Attributes:
        job: What to do, and how.
        output: Where the parts go.
        record: What the output's `job.json` said when the run began.
    """

    job: Job
    output: Output
    record: JobRecord


class Executor(Protocol):
    """What runs the stages: read, make parts, commit."""

    def running(self) -> AbstractContextManager[None]:
        """Hold ready, within the block, what the stages run on."""

    def stop_flag(self) -> StopFlag:
        """Return a flag that the stages see."""

    def counter(
        self, job_name: str, parts_left: Mapping[str, int]
    ) -> Callable[[Iterator[Receipt]], Iterator[Receipt]]:
        """Return what passes on receipts and counts them for those who watch.

        Args:
            job_name: The job's name.
            parts_left: Parts to be made, by dataset, where that is known.
        """

    def run_pass(
        self,
        job_run: JobRun,
        items: Sequence[WorkItem],
        make: "type[PartMaker | IsolatingPartMaker]",
        stop: StopFlag,
    ) -> Iterator[Receipt]:
        """Run work items through the stages once; yield a receipt as each part is committed.

        A part that fails is tried again `TASK_RETRIES` times and then left out.

        Raises:
            StorageError: The output takes no more parts.
            ActorError: What makes the parts cannot start.
        """
