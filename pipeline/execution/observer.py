"""What listens to a run while it goes on."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.output.progress import DatasetProgress
from pipeline.stages.receipt import Receipt


class Observer(Protocol):
    """What listens to a run."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Take note of the plan; called once, before any actor starts."""

    def executing(self, executor: str, reason: str) -> None:
        """Take note of what runs the stages, "local" or "ray", and why; before any work."""

    def committed(self, receipt: Receipt) -> None:
        """Take note of a part that was committed in this run."""

    def isolating(self, shards: int) -> None:
        """Take note that parts of some shards failed, and are tried once more in isolation."""

    def stopping(self, limit_s: float) -> None:
        """Take note that the run was asked to stop, and finishes what is in flight."""


class Silent:
    """An observer that says nothing."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Ignore the plan."""

    def executing(self, executor: str, reason: str) -> None:
        """Ignore what runs the stages."""

    def committed(self, receipt: Receipt) -> None:
        """Ignore the part."""

    def isolating(self, shards: int) -> None:
        """Ignore the second pass."""

    def stopping(self, limit_s: float) -> None:
        """Ignore the wish."""
