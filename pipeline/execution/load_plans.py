"""The plans of a run: as they are frozen in the output, or listed now."""

from pipeline.datasets.make_plan import extend_plan, plan_dataset
from pipeline.datasets.plan import DatasetPlan
from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.fused_outputs import fused_plan


def plans_of(job: Job, output: Output, found: JobRecord | None) -> list[DatasetPlan]:
    """Return the plans that are frozen in an output of this job; list what has none yet."""
    frozen = found is not None and not found.clearing
    return [
        (output.read_plan(dataset.name) if frozen else None)
        or fused_plan(dataset, job.spec, output.storage)
        or plan_dataset(dataset, job.spec, output.storage)
        for dataset in job.spec.datasets
    ]


def extended_plan(dataset: DatasetSpec, spec: JobSpec, output: Output) -> DatasetPlan | None:
    """List a dataset again; return its frozen plan with what is new, None if nothing is."""
    if not output.storage.exists(output.plan_uri(dataset.name)):
        return None
    known = output.read_plan_table(dataset.name)
    extended = extend_plan(dataset, spec, output.storage, known)
    return extended if extended.table.num_rows > known.num_rows else None
