"""A run's stages driven in this process, part after part: what Ray Data does, without Ray."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipeline.execution import ray_data
from pipeline.execution.actor_pool import plan_pool
from pipeline.execution.make_parts import Execution
from pipeline.output.work_item import WorkItem, pack_items
from pipeline.stages.committer import Committer, accepted
from pipeline.stages.reader import Reader
from pipeline.stages.receipt import Receipt
from pipeline.stages.stop_flag import LocalStopFlag


@contextmanager
def runs_in_this_process() -> Iterator[None]:
    """Have runs drive their stages themselves: Ray takes seconds to start each one's actors."""
    threads, limit = torch.get_num_threads(), Image.MAX_IMAGE_PIXELS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.execution.make_parts.Execution.make_parts", make_parts)
        yield
    torch.set_num_threads(threads)  # an actor sets both, in a process of its own
    Image.MAX_IMAGE_PIXELS = limit


def make_parts(execution: Execution, items: Sequence[WorkItem]) -> Iterator[Receipt]:
    """Do what `Execution.make_parts` does, but for retries, a second pass, and stopping."""
    if not items:
        return
    job, output = execution.job_run.job, execution.job_run.output
    never = LocalStopFlag()
    reader = Reader(job.spec, output, never)
    make = execution.job_run.part_maker()
    maker = make(job, output.storage, threads=plan_pool(job).threads, stop=never)
    committer = Committer(output, execution.job_run.record)
    for row in pack_items(items, rows=ray_data._MOST_ROWS):  # noqa: SLF001 - as on Ray
        for part in reader(pa.Table.from_pylist([row])):
            yield from accepted(output, committer(maker(part)))
