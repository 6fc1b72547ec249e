"""The commit stage: a part's file appears under its final name, whole, or not at all."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import OutputError, StorageError
from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
from pipeline.stages.receipt import Receipt, SegmentedPart
from pipeline.storage.retries import RETRIES


class Committer:
    """Write part files into an output folder.

    Args:
        output: The folder.
        record: What its `job.json` said when the run began.
    """

    def __init__(self, output: Output, record: JobRecord) -> None:
        self.output = output
        self.record = record

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Commit one part, a table of one row, and return its receipt.

        If the storage refuses it, or the folder is another run's by now, the receipt says so:
        other parts would be refused as well.
        """
        segmented = SegmentedPart.from_table(parts)
        receipt = segmented.receipt
        start, retries = time.perf_counter(), RETRIES.made
        refused = None
        try:
            self._put(segmented)
        except (StorageError, OutputError) as error:
            refused = error.reason
        receipt.seconds.write_s += time.perf_counter() - start
        retries = receipt.retries + RETRIES.made - retries
        return replace(receipt, retries=retries, refused=refused).to_table()

    def _put(self, segmented: SegmentedPart) -> None:
        """Put a part's file in place, unless it is there.

        One that is there stays: its name follows from its data, so it is the same. One that is cut
        is replaced, for its shard may break off elsewhere now, and one that is made again for its
        failed images, if no image has failed that had not.
        """
        self._check_generation()
        storage, part = self.output.storage, segmented.receipt.part
        uri = self.output.part_uri(part)
        if part.ending == "cut" or (segmented.receipt.replaces and self._improves(segmented)):
            storage.write(uri, segmented.file)
        else:
            storage.create(uri, segmented.file)

    def _check_generation(self) -> None:
        """Raise OutputError if the folder was taken over."""
        now = self.output.record()
        if now is None or now.generation != self.record.generation:
            raise OutputError(
                self.output.job_uri,
                f"was taken over by a run with --overwrite or --retry-failed (generation "
                f"{now and now.generation}, this run has {self.record.generation})",
            )

    def _improves(self, segmented: SegmentedPart) -> bool:
        with self.output.storage.open(self.output.part_uri(segmented.receipt.part)) as file:
            before = _fine_rows(file)
        return before <= _fine_rows(pa.BufferReader(segmented.file))


def accepted(output: Output, committed: pa.Table) -> Iterator[Receipt]:
    """Yield the receipts in a table of the committer.

    Raises:
        StorageError: The output refused a part.
    """
    for receipt in Receipt.from_table(committed):
        if receipt.refused:
            raise StorageError(output.part_uri(receipt.part), receipt.refused)
        yield receipt


def _fine_rows(file: object) -> set[int]:
    """Return the indices of a part's rows without a fault."""
    table = pq.ParquetFile(file).read(columns=["index", "status"])
    return set(table.filter(pc.equal(table["status"], "ok"))["index"].to_pylist())
