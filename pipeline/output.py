"""The output folder: where each thing lies, whose it is, and what is committed already."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.committed import Committed
from pipeline.errors import OutputError, StorageError
from pipeline.job import Job, differences, parse_job, render_job
from pipeline.part import Part
from pipeline.plan import DatasetPlan
from pipeline.storage import Storage
from pipeline.uris import join, shown
from pipeline.work_item import WorkItem


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
        return join(self.uri, "job.json")

    def plan_uri(self, dataset: str) -> str:
        """Return where a dataset's frozen plan lies."""
        return join(self.uri, "plan", f"{dataset}.parquet")

    def masks_uri(self, dataset: str) -> str:
        """Return the folder of a dataset's part files."""
        return join(self.uri, "masks", f"dataset={dataset}")

    def part_uri(self, part: Part) -> str:
        """Return where a part's file lies once it is committed."""
        return join(self.masks_uri(part.dataset), part.file_name)

    def check(self, job: Job) -> bool:
        """Say whether the folder is this job's already, which a second run then resumes.

        Raises:
            OutputError: It holds another job's results.
            StorageError: It cannot be read.
        """
        if not self.storage.exists(self.job_uri):
            return False
        found = parse_job(self.storage.read(self.job_uri), self.job_uri)
        differing = differences(found, job.fingerprint)
        if differing:
            raise OutputError(
                shown(self.uri),
                "holds the results of another job; it differs in "
                + "; ".join(differing)
                + ". Give another `output`, or the spec that the folder was made with",
            )
        return True

    def claim(self, job: Job) -> None:
        """Make the folder this job's, or find that it is.

        Raises:
            OutputError: Another job was first.
            StorageError: The folder cannot be written.
        """
        if not self.storage.create(self.job_uri, render_job(job)):
            self.check(job)

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
        uri = self.plan_uri(dataset)
        if not self.storage.exists(uri):
            return None
        return DatasetPlan.from_parquet(dataset, self.storage.read(uri))

    def read_plan_table(self, dataset: str) -> pa.Table:
        """Return the whole table of a frozen plan, a million images' as well."""
        return pq.read_table(pa.BufferReader(self.storage.read(self.plan_uri(dataset))))

    def committed(self, plan: DatasetPlan) -> Committed:
        """Return what is committed of a plan, from a fresh listing."""
        return Committed(plan, self.storage.names(self.masks_uri(plan.dataset)))

    def missing(self, plans: Iterable[DatasetPlan]) -> list[WorkItem]:
        """Return the shards that have parts to be made."""
        return [item for plan in plans for item in self.committed(plan).missing()]

    def sweep_cut_parts(self, plans: Iterable[DatasetPlan]) -> None:
        """Delete the files of cut parts whose shards have been read further since."""
        for plan in plans:
            for name in self.committed(plan).superseded:
                self.storage.remove(join(self.masks_uri(plan.dataset), name))
