"""One run of a job, from its spec to its report."""

from pipeline.dataset_spec import DatasetSpec
from pipeline.errors import SpecError
from pipeline.execution import execute
from pipeline.output import Output
from pipeline.plan import DatasetPlan
from pipeline.planning import extend_plan, plan_dataset
from pipeline.preparation import prepare_job
from pipeline.progress import DatasetProgress, Observer, Silent, measure_progress
from pipeline.report import RunReport, make_report, write_report
from pipeline.spec import JobSpec
from pipeline.storage import Storage
from pipeline.timings import RunTimings, time_run


def run(spec: JobSpec, observer: Observer | None = None, *, refresh: bool = False) -> RunReport:
    """Run a job; if its output is there in part, do what is missing.

    Args:
        spec: The job.
        observer: Is told of the plan and of each part committed.
        refresh: List the datasets again, and add what is new behind what is planned.

    Returns:
        The report, which is also in the output folder as `summary.json` and `summary.parquet`.

    Raises:
        PipelineError: The spec, a dataset, the storage or the output is wrong.
        CheckpointError: The checkpoint does not fit the model.
    """
    observer = observer or Silent()
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    job = prepare_job(spec, storage)
    spec = job.spec
    output.check(job)
    if refresh and spec.limit_images:
        raise SpecError("limit_images", ("does not go with a refresh, which adds all that is new",))
    plans = [_read_or_list(dataset, spec, output) for dataset in spec.datasets]
    output.claim(job)
    plans = [output.freeze(plan) for plan in plans]
    if refresh:
        plans = [_extend(dataset, spec, output) for dataset in spec.datasets]
    observer.planned([measure_progress(output.committed(plan)) for plan in plans])
    items = output.missing(plans)
    timings = time_run(execute(job, output, storage, items), observer) if items else RunTimings()
    output.sweep_cut_parts(plans)
    report = make_report(spec, plans, output, timings)
    write_report(report, output)
    storage.sweep_temporaries(output.uri)
    return report


def plan(spec: JobSpec) -> list[DatasetProgress]:
    """Say what a run would do, and write nothing.

    Raises:
        PipelineError: The spec, a dataset, the storage or the output is wrong.
        CheckpointError: The checkpoint does not fit the model.
    """
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    job = prepare_job(spec, storage)
    output.check(job)
    plans = [_read_or_list(dataset, job.spec, output) for dataset in job.spec.datasets]
    return [measure_progress(output.committed(plan)) for plan in plans]


def _read_or_list(dataset: DatasetSpec, spec: JobSpec, output: Output) -> DatasetPlan:
    """Return the frozen plan; if there is none yet, list the dataset."""
    return output.read_plan(dataset.name) or plan_dataset(dataset, spec, output.storage)


def _extend(dataset: DatasetSpec, spec: JobSpec, output: Output) -> DatasetPlan:
    """List a dataset again and add what is new to its frozen plan."""
    known = output.read_plan_table(dataset.name)
    extended = extend_plan(dataset, spec, output.storage, known)
    return extended if extended.table.num_rows == known.num_rows else output.replace_plan(extended)
