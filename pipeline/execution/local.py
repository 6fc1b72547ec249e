"""The stages without Ray: this process reads and commits, a child process makes the parts."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain, islice
from typing import Self

import pyarrow as pa

from pipeline.errors import ActorError, PipelineError
from pipeline.execution.actor_pool import plan_pool
from pipeline.execution.executor import JobRun
from pipeline.execution.ray_session import TASK_RETRIES
from pipeline.output.work_item import WorkItem, pack_items
from pipeline.stages.child_process import ChildDiedError, ChildProcess
from pipeline.stages.committer import Committer, accepted
from pipeline.stages.isolate_crashes import IsolatingPartMaker
from pipeline.stages.reader import Reader
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import LocalStopFlag, StopFlag
from refinenet_core.errors import RefineNetError

_LOG = logging.getLogger(__name__)


class Local:
    """Runs the stages here, part after part, with one read ahead; an `Executor`."""

    def running(self) -> AbstractContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def stop_flag(self) -> StopFlag:
        """Return a flag of this process."""
        return LocalStopFlag()

    def counter(
        self,
        job_name: str,  # noqa: ARG002 - nobody collects the metrics of a process
        parts_left: Mapping[str, int],  # noqa: ARG002 - likewise
    ) -> Callable[[Iterator[Receipt]], Iterator[Receipt]]:
        """Return what passes on receipts."""
        return iter

    def run_pass(
        self,
        job_run: JobRun,
        items: Sequence[WorkItem],
        stop: StopFlag,
        *,
        isolating: bool,
    ) -> Iterator[Receipt]:
        """Run work items through the stages once, in order."""
        committer = Committer(job_run.output, job_run.record)
        parts = _read(Reader(job_run.job.spec, job_run.output, stop), items)
        maker = _Maker(job_run, stop, isolating=isolating)
        for made in _one_ahead(maker, parts):
            yield from accepted(job_run.output, committer(made))


def _read(reader: Reader, items: Sequence[WorkItem]) -> Iterator[pa.Table]:
    """Yield the parts of each item; one that fails is tried again, and goes on where it was."""
    for row in pack_items(items, rows=len(items)):
        item = pa.Table.from_pylist([row])
        yielded = 0
        for attempt in range(1 + TASK_RETRIES):
            try:
                for part in islice(reader(item), yielded, None):
                    yielded += 1
                    yield part
                break
            except Exception as error:  # noqa: BLE001 - what is missing at the end is named
                _note(error, last=attempt == TASK_RETRIES)


def _one_ahead(maker: "_Maker", parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield what is made of parts, in order, while the next one is read and made."""
    with maker, ThreadPoolExecutor(1, thread_name_prefix="make") as thread:
        try:
            under_way: Future[pa.Table | None] | None = None
            for part in chain(parts, [None]):
                following = thread.submit(maker.make, part) if part is not None else None
                if under_way is not None and (made := under_way.result()) is not None:
                    yield made
                under_way = following
        finally:
            maker.end()  # the thread is waited for


class _Maker:
    """Makes parts in a child process, which an image may kill; the second pass has its own."""

    def __init__(self, job_run: JobRun, stop: StopFlag, *, isolating: bool) -> None:
        job, storage = job_run.job, job_run.output.storage
        threads = plan_pool(job).threads
        self._ended = False
        self._child: ChildProcess[pa.Table, pa.Table] | None = None
        self._call: Callable[[pa.Table], pa.Table]
        if isolating:
            self._call = IsolatingPartMaker(job, storage, threads=threads, stop=stop)
        else:
            # This process does without PyTorch, and does not take the seconds to import it.
            self._child = ChildProcess(partial(_prepare_making, job_run, threads))
            self._call = self._child.call

    def __enter__(self) -> Self:
        if self._child:
            try:
                self._child.start()
            except (PipelineError, RefineNetError, ChildDiedError) as error:
                raise ActorError(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.close()

    def end(self) -> None:
        """Have what another thread makes fail, and make nothing any more."""
        self._ended = True
        if self._child:
            self._child.kill()

    def make(self, part: pa.Table) -> pa.Table | None:
        """Make a part, a table of one row, into one; None if it fails each time."""
        for attempt in range(1 + TASK_RETRIES):
            if self._ended:
                break
            try:
                return self._call(part)
            except Exception as error:  # noqa: BLE001 - the second pass finds out whose fault it is
                _note(error, last=attempt == TASK_RETRIES and not self._ended)
        return None


def _prepare_making(job_run: JobRun, threads: int) -> Callable[[pa.Table], pa.Table]:
    """Return, in the child, what makes a part."""
    return job_run.part_maker()(job_run.job, job_run.output.storage, threads=threads)


def _note(error: Exception, *, last: bool) -> None:
    if last:
        _LOG.error("a part failed: %s: %s", type(error).__name__, error)
