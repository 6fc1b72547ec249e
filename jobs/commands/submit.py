"""The commands for jobs on a cluster: `submit`, `status`, `logs` and `stop`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json
from jobs.commands.options import (
    AsJson,
    Limit,
    Overwrite,
    Refresh,
    RequireEnv,
    RetryFailed,
    ShareText,
    SpecFile,
)
from jobs.exit_codes import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from jobs.submission.job_state import JobState
    from jobs.submission.submit import SubmittedJob

Address = Annotated[
    str | None,
    typer.Option(
        metavar="http://HEAD:8265",
        help="The cluster's job server; by default what RAY_API_SERVER_ADDRESS or RAY_ADDRESS "
        "says, or the Ray on this machine.",
    ),
]
JobId = Annotated[str, typer.Argument(help="As `submit` printed it.", show_default=False)]


def submit_command(
    spec: SpecFile,
    address: Address = None,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    share: ShareText = None,
    require_env: RequireEnv = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show the job's log until it ends.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Run a job on a Ray cluster; show its log until it ends.

    Ctrl-C detaches: the job goes on. Exit codes: the run's, as of `run`; 130 detached or stopped;
    2 spec or cluster wrong; 3 also if the cluster can no longer be reached.
    """
    how: dict[str, Any] = {
        "limit": limit,
        "refresh": refresh,
        "retry_failed": retry_failed,
        "overwrite": overwrite,
        "share": share,
        "require_env": require_env or (),
    }

    def command(display: "ProgressDisplay") -> int:
        from jobs.submission.submit import submit
        from pipeline import JobSpec

        job_spec = JobSpec.from_yaml(spec)
        _tell_local_paths(job_spec)
        job = submit(job_spec, address, **how)
        display.started = True  # what fails from here on does not end the job
        _say(f"submitted as job {job.id}")
        if not wait:
            return _show(job.state(), as_json=as_json)
        return _follow(job, as_json=as_json)

    exit_with(command)


def status_command(job: JobId, address: Address = None, as_json: AsJson = False) -> None:
    """Say how far a submitted job is."""

    def command(_: "ProgressDisplay") -> int:
        from jobs.submission.submit import SubmittedJob

        _show(SubmittedJob.find(job, address).state(), as_json=as_json)
        return 0

    exit_with(command)


def logs_command(
    job: JobId,
    address: Address = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the job ends; exit with the run's code.")
    ] = False,
) -> None:
    """Print what a submitted job has printed."""

    def command(display: "ProgressDisplay") -> int:
        from jobs.submission.submit import SubmittedJob

        found = SubmittedJob.find(job, address)
        display.started = True
        if follow:
            return _follow(found, as_json=False)
        print(found.log(), end="")
        return 0

    exit_with(command)


def stop_command(
    job: JobId,
    address: Address = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the job has stopped.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Stop a submitted job in good order: parts in flight are committed.

    The same `submit` again goes on where it stopped.
    """

    def command(display: "ProgressDisplay") -> int:
        from jobs.submission.submit import SubmittedJob

        found = SubmittedJob.find(job, address)
        display.started = True
        if found.stop():
            _say(f"job {found.id} is asked to stop; parts in flight are committed")
        _show(found.wait() if wait else found.state(), as_json=as_json)
        return 0

    exit_with(command)


def _follow(job: "SubmittedJob", *, as_json: bool) -> int:
    """Show a job's log until it ends or this process is interrupted; return the exit code."""
    from pipeline.errors import ClusterError

    again = f"refinenet-batch logs {job.id} --address {job.server.address} --follow"
    try:
        state = job.follow(_write_aside if as_json else _write)
    except KeyboardInterrupt:
        _say(f"detached; the job goes on. To look again: {again}")
        return EXIT_INTERRUPTED
    except ClusterError as error:
        reason = f"{error.reason}; the job may go on. To look again: {again}"
        raise ClusterError(error.address, reason) from error
    return _show(state, as_json=as_json, log_is_shown=True)


def _show(state: "JobState", *, as_json: bool, log_is_shown: bool = False) -> int:
    """Print a job's state; return its exit code, 0 of one that has not ended."""
    if as_json:
        print_json(state.to_json())
    else:
        times = (("since", state.started), ("until", state.ended))
        print(" ".join((f"job {state.job}: {state.status}", *(f"{w} {t}" for w, t in times if t))))
        ran = state.driver_exit_code is not None  # then the message is the end of its log
        if state.status == "FAILED" and not (ran and log_is_shown):
            print(state.message)
        if state.status == "STOPPED":
            print("what it committed stays; the same `submit` again goes on from there")
    return state.exit_code or 0


def _tell_local_paths(spec: Any) -> None:
    from pipeline.storage.uris import protocol_of, shown

    local = [shown(uri) for uri in spec.locations if protocol_of(uri) == "file"]
    if local:
        _say(f"every node must reach these local paths under the same name: {', '.join(local)}")


def _write(text: str) -> None:
    print(text, end="", flush=True)


def _write_aside(text: str) -> None:
    print(text, end="", flush=True, file=sys.stderr)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
