"""What a run tells while it goes on, to whoever shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.output import Output
from pipeline.plan import DatasetPlan
from pipeline.receipt import Receipt


@dataclass(frozen=True)
class DatasetProgress:
    """How far a dataset is: what is planned, and what of it is committed."""

    name: str
    images: int
    parts: int
    committed_images: int
    committed_parts: int


class Observer(Protocol):
    """What listens to a run."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Take note of the plan; called once, before any actor starts."""

    def committed(self, receipt: Receipt) -> None:
        """Take note of a part that was committed in this run."""


class Silent:
    """An observer that says nothing."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Ignore the plan."""

    def committed(self, receipt: Receipt) -> None:
        """Ignore the part."""


def measure_progress(plan: DatasetPlan, output: Output) -> DatasetProgress:
    """Compare a plan with a fresh listing of what is committed."""
    parts = [part for shard in plan.shards() for part in shard.parts]
    names = output.committed(plan)
    committed = [part for part in parts if part.file_name in names]
    return DatasetProgress(
        name=plan.dataset,
        images=plan.num_images,
        parts=len(parts),
        committed_images=sum(part.images for part in committed),
        committed_parts=len(committed),
    )
