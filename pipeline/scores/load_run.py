"""A past run: what its output folder tells of it, to be reported on again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import OutputError
from pipeline.execution.timings import RunTimings
from pipeline.output.job_record import read_job
from pipeline.output.output_folder import Output
from pipeline.scores.run_report import RunReport, make_report
from pipeline.spec.fingerprint import Fingerprint
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri, join, shown


@dataclass(frozen=True)
class PastRun:
    """A run whose output folder is there.

    Attributes:
        output: The output folder.
        spec: The resolved spec.
        fingerprint: What decided its results.
        plans: The frozen plans, in the spec's order.
    """

    output: Output
    spec: JobSpec
    fingerprint: Fingerprint
    plans: Sequence[DatasetPlan]

    @classmethod
    def read(cls, output: str) -> "PastRun":
        """Read what an output folder says of its run.

        Args:
            output: The folder, a path or URL. Its `job.json` is read with what the environment
                tells of the storage, all else with the `storage_options` in there.

        Raises:
            OutputError: It is no output of ours, or a plan is missing.
            StorageError: It may not or cannot be read.
        """
        uri = absolute_uri(output)
        spec, fingerprint = read_job(uri, Storage())
        # It may have been moved since it was written.
        spec = spec.model_copy(update={"output": uri})
        folder = Output(uri, Storage(spec.storage_options))
        plans = [_plan(folder, dataset.name) for dataset in spec.datasets]
        return cls(folder, spec, fingerprint, plans)

    def report(self) -> RunReport:
        """Add up its mask tables again; what the last run took is taken from `summary.json`.

        Raises:
            OutputError: `summary.json` is damaged.
            StorageError: A table cannot be read.
        """
        return make_report(self.spec, self.fingerprint, self.plans, self.output, self._timings())

    def _timings(self) -> RunTimings:
        uri = join(self.output.uri, "summary.json")
        data = self.output.storage.read_if_there(uri)
        if data is None:  # it did not end, or somebody has deleted the file
            return RunTimings()
        try:
            return RunTimings.from_json(json.loads(data)["last_run"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                shown(uri), "is damaged; delete it: all but the times comes from the mask tables"
            ) from error


def _plan(folder: Output, dataset: str) -> DatasetPlan:
    plan = folder.read_plan(dataset)
    if plan is None:
        raise OutputError(
            shown(folder.plan_uri(dataset)), "is missing; run the job, which makes it"
        )
    return plan
