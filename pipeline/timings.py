"""Timings: what a run did and how long it took, added up from receipts."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.progress import Observer
from pipeline.receipt import Receipt, StageSeconds


@dataclass(frozen=True)
class RunTimings:
    """What this run did and took.

    Attributes:
        images: Images that this run committed, by dataset.
        wall_s: Seconds from the start of Ray to the last commit.
        stage_s: Seconds of each stage, added up over workers.
        storage_retries: How often an operation on a storage was tried again after a fault.
    """

    images: Mapping[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    stage_s: StageSeconds = field(default_factory=StageSeconds)
    storage_retries: int = 0

    @classmethod
    def from_json(cls, last_run: Mapping[str, Any]) -> "RunTimings":
        """Read what `summary.json` says of the run that wrote it, under `last_run`."""
        return cls(
            images={str(name): int(images) for name, images in last_run["images"].items()},
            wall_s=float(last_run["wall_s"]),
            stage_s=StageSeconds(**last_run["stage_s"]),
            storage_retries=int(last_run["storage_retries"]),
        )

    def with_retries(self, made: int) -> "RunTimings":
        """Return these with the storage operations added that the driver tried again."""
        return replace(self, storage_retries=self.storage_retries + made)

    @property
    def images_per_s(self) -> float:
        """Images that this run committed per second of `wall_s`."""
        return sum(self.images.values()) / self.wall_s if self.wall_s else 0.0


def time_run(receipts: Iterable[Receipt], observer: Observer) -> RunTimings:
    """Drain a run's receipts, telling the observer of each, and add up what they say."""
    start = time.perf_counter()
    images: Counter[str] = Counter()
    stage_s = StageSeconds()
    retries = 0
    for receipt in receipts:
        images[receipt.part.dataset] += receipt.part.images
        stage_s += receipt.seconds
        retries += receipt.retries
        observer.committed(receipt)
    return RunTimings(dict(images), time.perf_counter() - start, stage_s, retries)
