"""The command `run`, and what all commands share that run a job: its progress, its report."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import (
    AsJson,
    Limit,
    LogFormat,
    LogFormatOption,
    Overwrite,
    Refresh,
    RequireEnv,
    RetryFailed,
    ShareText,
    SpecFile,
    load_spec,
)

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from pipeline import JobSpec, RunReport


def run_command(
    spec: SpecFile,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    share: ShareText = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Join the Ray cluster that this machine belongs to; by default a Ray of the "
            "run's own is started.",
        ),
    ] = None,
    require_env: RequireEnv = None,
    as_json: AsJson = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Run a job; if its output is there in part, do what is missing.

    Exit codes: 0 every image committed, failures within the tolerance; 1 all committed, more
    failures than tolerated, or a shard is broken; 2 spec, checkpoint or output wrong; 3 parts
    missing; 130 interrupted.
    """
    how: dict[str, Any] = {
        "refresh": refresh,
        "retry_failed": retry_failed,
        "overwrite": overwrite,
        "address": address,
        "require_env": require_env or (),
    }

    def command(display: "ProgressDisplay") -> int:
        from pipeline.spec.share import Share

        if share is not None:
            how["share"] = Share.parse(share)
        return run_job(load_spec(spec, limit), display, how, as_json=as_json)

    exit_with(command, log_format)


def run_job(
    spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any], *, as_json: bool
) -> int:
    """Run a job, show how far it is and what came of it; return the exit code."""
    report = shown_run(spec, display, how)
    show_report(report, as_json=as_json)
    return report.exit_code


def shown_run(
    spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any] | None = None
) -> "RunReport":
    """Run a job and show how far it is; Ray's messages go where the progress goes."""
    from pipeline import run

    with display, redirect_stdout(sys.stderr):
        report = run(spec, display, **(how or {}))
        display.finished(report)
    return report


def show_report(report: "RunReport", *, as_json: bool) -> None:
    """Print what a run's masks score, where they lie, and what is missing."""
    from jobs.display.run_tables import report_table, shortfall_lines
    from pipeline.report.write_summary import report_content
    from pipeline.storage.uris import join, shown

    if as_json:
        print_json(report_content(report))
        return
    print_table(report_table(report))
    print(f"Masks:     {shown(join(report.output, 'masks'))}")
    if report.share:
        print(f"Share {report.share}: the run that ends the last share writes summary and report")
    else:
        print(f"Summary:   {shown(join(report.output, 'summary.json'))}")
        print(f"Report:    {shown(join(report.output, 'report.html'))}")
    for line in shortfall_lines(report):
        print(line)
