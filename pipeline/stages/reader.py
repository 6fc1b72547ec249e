"""The reading stage: a shard streams out as parts of encoded bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from time import time

import pyarrow as pa

from pipeline.output.output_folder import Output
from pipeline.output.work_item import unpack_items
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.job_spec import JobSpec
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.image_reader import read_planned_images
from pipeline.stages.shard_reader import ShardReader
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.retries import RETRIES


class Reader:
    """Read the shards of work items, part by part.

    Args:
        spec: The job.
        output: Where the plan lies, and the parts that are committed.
        stop: Tells when to read no more parts.
    """

    def __init__(self, spec: JobSpec, output: Output, stop: StopFlag) -> None:
        self.stop = stop
        self.output = output
        self.storage = output.storage
        self.datasets: Mapping[str, DatasetSpec] = {each.name: each for each in spec.datasets}
        self.shard_reader = ShardReader(spec, output, output.storage)

    def __call__(self, items: pa.Table) -> Iterator[pa.Table]:
        """Yield each part that is still to be made as a table of one row."""
        counted = RETRIES.made

        def to_table(part: EncodedPart) -> pa.Table:
            nonlocal counted
            made = RETRIES.made - counted
            counted += made
            return replace(part, retries=made, read_at=time()).to_table()

        for item in takewhile(self._goes_on, unpack_items(items)):
            if item.file is None:
                parts = read_planned_images(item, self.output, self.storage)
            else:
                parts = self.shard_reader.read(self.datasets[item.dataset], item, item.file)
            # `map` keeps no part while its table is on its way: each is tens of megabytes.
            yield from map(to_table, takewhile(self._goes_on, parts))

    def _goes_on(self, _next: object) -> bool:
        return not self.stop.is_up()
