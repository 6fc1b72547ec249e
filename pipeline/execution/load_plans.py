"""The plans of a run: as they are frozen in the output, or listed now."""

from pipeline.datasets.make_plan import extend_plan, plan_dataset
from pipeline.datasets.plan import DatasetPlan
from pipeline.output.job_record import JobRecord
from pipeline.output.output_folder import Output
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


def extended_plans(spec: JobSpec, output: Output) -> dict[str, DatasetPlan]:
    """List the datasets again; return the frozen plans that grow by what is new, by dataset."""
    grown = {}
    for dataset in spec.datasets:
        if output.storage.exists(output.plan_uri(dataset.name)):
            known = output.read_plan_table(dataset.name)
            plan = extend_plan(dataset, spec, output.storage, known)
            if plan.table.num_rows > known.num_rows:
                grown[dataset.name] = plan
    return grown
