"""What runs the stages: Ray Data, or this process and a child."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
from pipeline.output.work_item import WorkItem
from pipeline.spec.resolved_job import Job
from pipeline.stages.choose_part_maker import part_maker_of
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import StopFlag

if TYPE_CHECKING:
    from pipeline.stages.part_maker import PartMaker


@dataclass(frozen=True)
class JobRun:
    """What parts are made by, and where they go.

    Attributes:
        job: What to do, and how.
        output: Where the parts go.
        record: What the output's `job.json` said when the run began.
        stand_in: Makes the parts in place of the job's own part maker; for benchmarks.
    """

    job: Job
    output: Output
    record: JobRecord
    stand_in: "type[PartMaker] | None" = None

    def part_maker(self) -> "type[PartMaker]":
        """Return what makes the parts; importing it may take the seconds that PyTorch takes."""
        return self.stand_in or part_maker_of(self.job)


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
        stop: StopFlag,
        *,
        isolating: bool,
    ) -> Iterator[Receipt]:
        """Run work items through the stages once; yield a receipt as each part is committed.

        A part that fails is tried again `TASK_RETRIES` times and then left out.

        Args:
            job_run: What they are made by, and where they go.
            items: The work items.
            stop: Tells when to take no more of them.
            isolating: Whether images that kill their process are looked for.

        Raises:
            StorageError: The output takes no more parts.
            ActorError: What makes the parts cannot start.
        """
