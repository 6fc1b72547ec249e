"""The command `evaluate`: masks that exist are scored, or outputs fused."""

from typing import TYPE_CHECKING, Any

from jobs.commands.exits import exit_with
from jobs.commands.options import (
    AsJson,
    Limit,
    LogFormat,
    LogFormatOption,
    Overwrite,
    Refresh,
    RetryFailed,
    SpecFile,
    load_spec,
)
from jobs.commands.run import run_job

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from pipeline import JobSpec


def evaluate_command(
    spec: SpecFile,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Score masks that exist, or fuse several outputs: a job without a model. Exit codes as `run`.

    The `images` of a spec with `predictions` are the masks; `fuse` names the outputs.
    """
    how = {"refresh": refresh, "retry_failed": retry_failed, "overwrite": overwrite}
    exit_with(
        lambda display: _evaluate(load_spec(spec, limit), display, how, as_json=as_json), log_format
    )


def _evaluate(
    spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any], *, as_json: bool
) -> int:
    from pipeline.errors import SpecError

    if spec.model is not None:
        raise SpecError(
            "model",
            ("masks that exist need none; leave it out, or use `refinenet-batch run`",),
        )
    return run_job(spec, display, how, as_json=as_json)
