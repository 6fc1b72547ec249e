"""What shows how far a run is, in whatever form."""

from typing import Protocol, Self

from pipeline import RunReport
from pipeline.execution.observer import Observer


class ProgressDisplay(Observer, Protocol):
    """What shows a run's progress in some form.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    started: bool

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def finished(self, report: RunReport) -> None:
        """Take note of what the run came to."""

    def failed(self, message: str) -> None:
        """Say why a command ends early."""
