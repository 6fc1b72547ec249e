"""The output folder: where each thing lies, whose it is, and what is committed already."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import OutputError, StorageError
from pipeline.output.job_record import JobRecord
from pipeline.output.output_names import (
    JOB_FILE,
    RESULT_FILES,
    confusion_file,
    masks_folder,
    plan_file,
)
from pipeline.output.part_name import Part, is_part_file
from pipeline.output.progress import DatasetProgress, measure_progress
from pipeline.output.resume import Committed
from pipeline.output.work_item import WorkItem
from pipeline.spec.fingerprint import differences
from pipeline.spec.resolved_job import Job
from pipeline.storage.storage import Storage
from pipeline.storage.uris import join, shown

_REQUESTS = 16  # at a time
_MOST_OPENED = 1000  # files, only to tell how far a run is


class Output:
    """A job's output folder.

    Args:
        uri: The folder.
        storage: Access to it.
    """

    def __init__(self, uri: str, storage: Storage) -> None:
        self.uri = uri
        self.storage = storage

    @property
    def job_uri(self) -> str:
        """Where the job's identity lies."""
        return join(self.uri, JOB_FILE)

    def plan_uri(self, dataset: str) -> str:
        """Return where a dataset's frozen plan lies."""
        return join(self.uri, plan_file(dataset))

    def masks_uri(self, dataset: str) -> str:
        """Return the folder of a dataset's part files."""
        return join(self.uri, masks_folder(dataset))

    def part_uri(self, part: Part) -> str:
        """Return where a part's file lies once it is committed."""
        return join(self.masks_uri(part.dataset), part.file_name)

    def record(self) -> JobRecord | None:
        """Return what `job.json` says; None if there is none.

        Raises:
            OutputError: It is none of ours.
        """
        data = self.storage.read_if_there(self.job_uri)
        return None if data is None else JobRecord.parse(data, self.job_uri)

    def check(self, job: Job) -> JobRecord | None:
        """Return the folder's record if it is this job's already, which a run then resumes.

        Raises:
            OutputError: It holds another job's results.
            StorageError: It cannot be read.
        """
        found = self.record()
        self.check_record(found, job)
        return found

    def check_record(self, found: JobRecord | None, job: Job) -> None:
        """Do what `check` does, with a record that was read.

        Raises:
            OutputError: It is of another job.
        """
        differing = differences(found.fingerprint, job.fingerprint) if found else []
        if differing:
            raise OutputError(
                shown(self.uri),
                "holds the results of another job; it differs in "
                + "; ".join(differing)
                + ". Give another `output`, or the spec that the folder was made with; "
                "--overwrite deletes what is there",
            )

    def claim(self, job: Job) -> JobRecord:
        """Make the folder this job's, or find that it is.

        Raises:
            OutputError: Another job was first.
            StorageError: The folder cannot be written.
        """
        record = JobRecord.first(job)
        if self.storage.create(self.job_uri, record.render(job)):
            return record
        found = self.check(job)
        if found is None:
            raise OutputError(shown(self.job_uri), "was there and is gone; run the command again")
        if found.clearing:  # what overwrote an earlier job's results did not get done
            return self._clear(job, found)
        return found

    def retry(self, job: Job) -> JobRecord:
        """Begin the next generation of this job's run: runs of the one before write no more.

        Raises:
            OutputError: The folder is not this job's.
            StorageError: The folder cannot be written.
        """
        record = self.claim(job).retried()
        self.storage.write(self.job_uri, record.render(job))
        return record

    def overwrite(self, job: Job) -> JobRecord:
        """Make the folder this job's, whatever job's it was, and delete what that one wrote.

        Only files of names that we give are deleted. Should this break off, the next run does the
        rest before it looks at anything.

        Raises:
            OutputError: What is there is no output of ours.
            StorageError: The folder cannot be written.
        """
        found = self.record()
        if found is None:
            return self.claim(job)
        record = found.overwritten(job)
        self.storage.write(self.job_uri, record.render(job))
        return self._clear(job, record)

    def _clear(self, job: Job, record: JobRecord) -> JobRecord:
        for name in RESULT_FILES:
            self.storage.remove(join(self.uri, name))
        for dataset in record.datasets:
            # The plan last: by it the part files would be taken for this job's.
            folder = self.masks_uri(dataset)
            for name in filter(is_part_file, self.storage.names(folder)):
                self.storage.remove(join(folder, name))
            self.storage.remove(join(self.uri, confusion_file(dataset)))
            self.storage.remove(self.plan_uri(dataset))
        record = record.cleared(job)
        self.storage.write(self.job_uri, record.render(job))
        return record

    def freeze(self, plan: DatasetPlan) -> DatasetPlan:
        """Store a plan, unless one is there; return the one that is there in the end."""
        self.storage.create(self.plan_uri(plan.dataset), plan.to_parquet())
        frozen = self.read_plan(plan.dataset)
        if frozen is None:
            raise StorageError(self.plan_uri(plan.dataset), "was written but cannot be found")
        return frozen

    def replace_plan(self, plan: DatasetPlan) -> DatasetPlan:
        """Store a plan that an older one has grown into."""
        self.storage.write(self.plan_uri(plan.dataset), plan.to_parquet())
        return plan

    def read_plan(self, dataset: str) -> DatasetPlan | None:
        """Return a dataset's frozen plan, None if there is none yet."""
        data = self.storage.read_if_there(self.plan_uri(dataset))
        return None if data is None else DatasetPlan.from_parquet(dataset, data)

    def read_plan_table(self, dataset: str) -> pa.Table:
        """Return the whole table of a frozen plan, a million images' as well."""
        return pq.read_table(pa.BufferReader(self.storage.read(self.plan_uri(dataset))))

    def committed(self, plan: DatasetPlan) -> Committed:
        """Return what is committed of a plan, from a fresh listing."""
        return Committed(plan, self.storage.names(self.masks_uri(plan.dataset)))

    def progress(self, plan: DatasetPlan) -> DatasetProgress:
        """Return how far a dataset is."""
        committed = self.committed(plan)
        return measure_progress(committed, self._num_images(committed))

    def _num_images(self, committed: Committed) -> int | None:
        """Count the images that are committed; where the plan does not tell, by the files' ends."""
        names = committed.uncounted
        if len(names) > _MOST_OPENED:
            return None

        def count(name: str) -> int:
            with self.storage.open(join(self.masks_uri(committed.plan.dataset), name)) as file:
                return int(pq.read_metadata(file).num_rows)

        with ThreadPoolExecutor(_REQUESTS) as pool:
            return committed.num_counted_images + sum(pool.map(count, names))

    def missing(self, plans: Iterable[DatasetPlan]) -> list[WorkItem]:
        """Return the shards that have parts to be made."""
        return [item for plan in plans for item in self.committed(plan).missing()]

    def failed(self, plans: Iterable[DatasetPlan]) -> list[WorkItem]:
        """Return the shards with committed parts that have failed images, to be made again."""
        return [
            item
            for plan in plans
            for item in self.committed(plan).redone(partial(self._has_failed, plan.dataset))
        ]

    def _has_failed(self, dataset: str, names: Sequence[str]) -> list[bool]:
        """Say of part files whether they have failed images."""

        def has_failed(name: str) -> bool:
            with self.storage.open(join(self.masks_uri(dataset), name)) as file:
                statuses = pq.ParquetFile(file).read(columns=["status"])["status"]
            return any(status != "ok" for status in statuses.unique().to_pylist())

        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(has_failed, names))

    def left_out(self, plans: Iterable[DatasetPlan]) -> list[WorkItem]:
        """Return the shards that a pass over all that was missing did not get done."""
        return [item for plan in plans for item in self.committed(plan).left_out()]

    def lacks_files(self, plans: Iterable[DatasetPlan]) -> bool:
        """Say whether there is a part that is not committed."""
        return any(self.committed(plan).missing_files() for plan in plans)

    def is_of(self, record: JobRecord) -> bool:
        """Say whether `job.json` is, now, what it was when a run read or wrote this record."""
        return self.record() == record

    def sweep_cut_parts(self, plans: Iterable[DatasetPlan], record: JobRecord) -> None:
        """Delete the files of cut parts whose shards have been read further since.

        Args:
            plans: The plans.
            record: The run's; one that was overtaken deletes nothing.
        """
        superseded = [
            join(self.masks_uri(plan.dataset), name)
            for plan in plans
            for name in self.committed(plan).superseded
        ]
        self._remove(superseded, record)

    def sweep_foreign_parts(self, uris: Sequence[str], record: JobRecord) -> None:
        """Delete part files of another job, so that the next run makes these parts.

        Args:
            uris: The files, which a run has found to be of another job than its own.
            record: The run's; one that was overtaken deletes nothing.
        """
        self._remove(uris, record)

    def _remove(self, uris: Sequence[str], record: JobRecord) -> None:
        if uris and self.is_of(record):
            for uri in uris:
                self.storage.remove(uri)
