"""One run of a job, from its spec to its report."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import SpecError
from pipeline.execution.choose_executor import choose_executor
from pipeline.execution.cluster import joined_cluster
from pipeline.execution.executor import JobRun
from pipeline.execution.load_plans import extended_plans, plans_of
from pipeline.execution.make_parts import Execution
from pipeline.execution.observer import Observer, Silent
from pipeline.execution.prepare_job import prepare_job
from pipeline.execution.prometheus import flush_counts
from pipeline.execution.timings import time_run
from pipeline.output.output_folder import Output
from pipeline.output.progress import DatasetProgress
from pipeline.report.write_report import write_report
from pipeline.scores.run_report import RunReport, make_report
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.share import Share
from pipeline.storage.retries import RETRIES
from pipeline.storage.storage import Storage


def run(
    spec: JobSpec,
    observer: Observer | None = None,
    *,
    address: str | None = None,
    require_env: Sequence[str] = (),
    refresh: bool = False,
    retry_failed: bool = False,
    overwrite: bool = False,
    share: Share | None = None,
) -> RunReport:
    """Run a job; if its output is there in part, do what is missing.

    Args:
        spec: The job.
        observer: Is told of the plan and of each part committed.
        address: Of a Ray cluster to join: "auto", or HOST:PORT of one that this machine belongs
            to; by default the process's Ray, or one of the run's own.
        require_env: Environment variables that must be set here and on each of its nodes.
        refresh: List the datasets again, and add what is new behind what is planned.
        retry_failed: Make parts with failed images again.
        overwrite: Delete what an earlier job has written to the output, and start afresh.
        share: Make this share of it alone; other runs, with a Ray each, make the others.

    Returns:
        The report, which is also in the output folder as `summary.json`, `summary.parquet` and
        `report.html`. That of a share, as long as others are not made, is of the share alone and
        not written.

    Raises:
        PipelineError: The spec, a dataset, the storage or the output is wrong.
        CheckpointError: The checkpoint does not fit the model.
        ClusterError: The cluster cannot be joined.
        KeyboardInterrupt: SIGINT or SIGTERM came, and what was in flight is committed.
    """
    how: dict[str, Any] = {"refresh": refresh, "retry_failed": retry_failed, "overwrite": overwrite}
    for name, asked in how.items():
        if share is not None and asked:
            raise SpecError("share", (f"does not go with `{name}`: run that for the whole job",))
    how["share"] = share
    if address is not None and spec.resources.executor == "local":
        problem = "is 'local', but the run has an address; leave out one of the two"
        raise SpecError("resources.executor", (problem,))
    with joined_cluster(address, require_env) as cluster:
        try:
            if cluster is None:
                return _run(spec, observer or Silent(), **how)
            # Of more GPUs than there are nothing is said: a cluster may grow when asked to.
            return _run(cluster.settle(spec), observer or Silent(), gpus=sys.maxsize, **how)
        finally:
            flush_counts(spec.name)


def _run(
    spec: JobSpec,
    observer: Observer,
    *,
    refresh: bool,
    retry_failed: bool,
    overwrite: bool,
    share: Share | None,
    gpus: int | None = None,
) -> RunReport:
    retries = RETRIES.made
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    found = None if overwrite else output.record()
    job = prepare_job(spec, storage, gpus=gpus, known=found)
    spec = job.spec
    _check_asked(spec, refresh=refresh, retry_failed=retry_failed, overwrite=overwrite)
    output.check_record(found, job)
    plans = plans_of(job, output, found)
    # Before anything is written: it may find that the datasets are not what they were.
    grown = extended_plans(spec, output) if refresh and found else {}
    if overwrite:
        record = output.overwrite(job)
    else:
        record = output.retry(job) if retry_failed else output.claim(job)
    plans = [output.freeze(plan) for plan in plans]
    # One that an earlier run did not come to freeze was listed just now.
    plans = [
        output.replace_plan(grown[plan.dataset]) if plan.dataset in grown else plan
        for plan in plans
    ]
    whole = plans
    if share is not None:
        plans = [plan.of_share(share) for plan in whole]
    observer.planned([output.progress(plan) for plan in plans])
    executor, name, reason = choose_executor(job, plans, address=gpus is not None)
    items = output.failed(plans) if retry_failed else output.missing(plans)
    if items:
        observer.executing(name, reason)
    if found:  # another run may be at it from the front: they meet in the middle
        items.reverse()
    execution = Execution(JobRun(job, output, record), plans, observer, executor)
    timings = time_run(execution.make_parts(items), observer)
    output.check(job)  # a run that another job has overtaken neither sums up nor deletes
    output.sweep_cut_parts(plans, record)
    timings = timings.with_retries(RETRIES.made - retries)
    if share is not None and output.lacks_files(whole):
        report = make_report(spec, job.fingerprint, plans, output, timings)
        report = replace(report, share=share)
    else:
        report = make_report(spec, job.fingerprint, whole, output, timings)
        write_report(report, spec, whole, output)
    output.sweep_foreign_parts(report.foreign_parts, record)
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
    found = output.record()
    job = prepare_job(spec, storage, known=found)
    output.check_record(found, job)
    plans = plans_of(job, output, found)
    return [output.progress(plan) for plan in plans]


def _check_asked(spec: JobSpec, *, refresh: bool, retry_failed: bool, overwrite: bool) -> None:
    """Refuse what does not go together.

    Raises:
        SpecError: Something does not.
    """
    if refresh and spec.limit_images:
        raise SpecError("limit_images", ("does not go with a refresh, which adds all that is new",))
    if refresh and spec.fuse:
        raise SpecError("fuse", ("does not go with a refresh: the outputs tell what there is",))
    if overwrite and (refresh or retry_failed):
        raise SpecError("overwrite", ("starts afresh: leave out `refresh` and `retry_failed`",))
