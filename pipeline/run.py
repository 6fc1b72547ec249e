"""One run of a job, from its spec to its report."""

from pipeline.execution import execute
from pipeline.job import prepare_job
from pipeline.output import Output
from pipeline.plan import DatasetPlan, plan_images
from pipeline.progress import DatasetProgress, Observer, Silent, measure_progress
from pipeline.report import RunReport, make_report, write_report
from pipeline.sources import folder
from pipeline.spec import DatasetSpec, JobSpec
from pipeline.storage import Storage
from pipeline.timings import RunTimings, time_run


def run(spec: JobSpec, observer: Observer | None = None) -> RunReport:
    """Run a job; if its output is there in part, do what is missing.

    Args:
        spec: The job.
        observer: Is told of the plan and of each part committed.

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
    plans = [_read_or_list(dataset, spec, output) for dataset in spec.datasets]
    output.claim(job)
    plans = [output.freeze(plan) for plan in plans]
    observer.planned([measure_progress(plan, output) for plan in plans])
    shards = output.missing(plans)
    timings = time_run(execute(job, output, storage, shards), observer) if shards else RunTimings()
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
    return [
        measure_progress(_read_or_list(dataset, job.spec, output), output)
        for dataset in job.spec.datasets
    ]


def _read_or_list(dataset: DatasetSpec, spec: JobSpec, output: Output) -> DatasetPlan:
    """Return the frozen plan; if there is none yet, list the dataset."""
    frozen = output.read_plan(dataset.name)
    if frozen is not None:
        return frozen
    images = folder.list_images(dataset, output.storage)[: spec.limit_images]
    return plan_images(
        dataset.name,
        folder.folder_uri(dataset),
        images,
        part_images=spec.part_images,
        part_bytes=int(spec.part_bytes),
    )
