"""The state of a submitted job, as the cluster tells it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from jobs.exit_codes import EXIT_INCOMPLETE, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_RUN_EXITS = (1, 2, EXIT_INCOMPLETE, EXIT_INTERRUPTED)


@dataclass(frozen=True)
class JobState:
    """How far a submitted job is.

    Attributes:
        job: Its id.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        message: What Ray says of it, of a failed one with the end of its log.
        started: When, in ISO 8601; None if not yet.
        ended: Likewise.
        driver_exit_code: Of the run's process; None if it has not ended by itself.
    """

    job: str
    status: str
    message: str
    started: str | None
    ended: str | None
    driver_exit_code: int | None

    @classmethod
    def from_details(cls, job: str, details: "JobDetails") -> Self:
        """Take over what Ray's job server answers."""
        return cls(
            job,
            str(details.status),
            details.message or "",
            _time(details.start_time),
            _time(details.end_time),
            details.driver_exit_code,
        )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED

    @property
    def exit_code(self) -> int | None:
        """The exit code that `run` would have had; None until the job has ended.

        A run that was killed, or could not even start, is incomplete; one that was stopped is
        interrupted, whatever became of its process.
        """
        if not self.has_ended:
            return None
        if self.status == "STOPPED":
            return EXIT_INTERRUPTED
        if self.status == "SUCCEEDED":
            return 0
        known = self.driver_exit_code in _RUN_EXITS
        return self.driver_exit_code if known else EXIT_INCOMPLETE

    def to_json(self) -> dict[str, Any]:
        """Return it as strict JSON."""
        return {
            "job": self.job,
            "status": self.status,
            "exit_code": self.exit_code,
            "message": self.message,
            "started": self.started,
            "ended": self.ended,
        }


def _time(milliseconds: int | None) -> str | None:
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
