"""What a run tells while it goes on, to whoever shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.output.resume import Committed
from pipeline.stages.receipt import Receipt

if TYPE_CHECKING:
    from pipeline.report import RunReport


@dataclass(frozen=True)
class DatasetProgress:
    """How far a dataset is: what is planned, and what of it is committed.

    Numbers that only reading the shards tells are None, as is the number of images committed where
    counting them would mean opening too many files.
    """

    name: str
    shards: int
    images: int | None
    parts: int | None
    size_bytes: int
    committed_shards: int
    committed_images: int | None
    committed_parts: int


class Observer(Protocol):
    """What listens to a run."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Take note of the plan; called once, before any actor starts."""

    def committed(self, receipt: Receipt) -> None:
        """Take note of a part that was committed in this run."""

    def isolating(self, shards: int) -> None:
        """Take note that parts of some shards failed, and are tried once more in isolation."""

    def stopping(self, limit_s: float) -> None:
        """Take note that the run was asked to stop, and finishes what is in flight."""

    def finished(self, report: "RunReport") -> None:
        """Take note of the result; called once, after the summary is written."""


class Silent:
    """An observer that says nothing."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Ignore the plan."""

    def committed(self, receipt: Receipt) -> None:
        """Ignore the part."""

    def isolating(self, shards: int) -> None:
        """Ignore the second pass."""

    def stopping(self, limit_s: float) -> None:
        """Ignore the wish."""

    def finished(self, report: "RunReport") -> None:
        """Ignore the result."""


def measure_progress(committed: Committed, images: int | None) -> DatasetProgress:
    """Compare a plan with what is committed, of which `images` are the images."""
    shards = committed.plan.shards
    parts = [len(shard.part_images) for shard in shards if shard.part_images is not None]
    return DatasetProgress(
        name=committed.plan.dataset,
        shards=len(shards),
        images=committed.plan.num_images,
        parts=sum(parts) if len(parts) == len(shards) else None,
        size_bytes=committed.plan.size_bytes,
        committed_shards=committed.num_finished_shards,
        committed_images=images,
        committed_parts=committed.num_parts,
    )
