"""The commit stage: a part's file appears under its final name, whole, or not at all."""

import time

import pyarrow as pa

from pipeline.output import Output
from pipeline.receipt import SegmentedPart


class Committer:
    """Write part files into an output folder.

    Args:
        output: The folder.
    """

    def __init__(self, output: Output) -> None:
        self.output = output

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Commit one part, a table of one row, and return its receipt.

        A part that is there already stays: its name follows from its data, so it is the same. One
        that is cut is replaced: its shard may break off elsewhere now.
        """
        segmented = SegmentedPart.from_table(parts)
        receipt = segmented.receipt
        uri = self.output.part_uri(receipt.part)
        start = time.perf_counter()
        if receipt.part.ending == "cut" or not self.output.storage.exists(uri):
            self.output.storage.write(uri, segmented.file)
        receipt.seconds.write_s += time.perf_counter() - start
        return receipt.to_table()
