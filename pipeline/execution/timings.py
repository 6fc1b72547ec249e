"""Timings: what a run did and how long it took, added up from receipts."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from pipeline.execution.observer import Observer
from pipeline.stages.receipt import ActorSeconds, Receipt, StageSeconds


@dataclass(frozen=True)
class RunTimings:
    """What this run did and took.

    Attributes:
        images: Images that this run committed, by dataset.
        wall_s: Seconds from the start of Ray to the last commit.
        stage_s: Seconds of each stage, added up over workers.
        storage_retries: How often an operation on a storage was tried again after a fault.
        actor_s: Seconds that actors worked and waited, added up over actors.
        startup_s: Seconds until an actor took the first part.
        making_s: Seconds from then until actors had made the last part.
        finishing_s: Seconds from then until it was committed.
    """

    images: Mapping[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    stage_s: StageSeconds = field(default_factory=StageSeconds)
    storage_retries: int = 0
    actor_s: ActorSeconds = field(default_factory=ActorSeconds)
    startup_s: float = 0.0
    making_s: float = 0.0
    finishing_s: float = 0.0

    @classmethod
    def from_json(cls, last_run: Mapping[str, Any]) -> "RunTimings":
        """Read what `summary.json` says of the run that wrote it, under `last_run`."""
        return cls(
            images={str(name): int(images) for name, images in last_run["images"].items()},
            wall_s=float(last_run["wall_s"]),
            stage_s=StageSeconds(**last_run["stage_s"]),
            storage_retries=int(last_run["storage_retries"]),
            actor_s=ActorSeconds(**last_run["actor_s"]),
            startup_s=float(last_run["startup_s"]),
            making_s=float(last_run["making_s"]),
            finishing_s=float(last_run["finishing_s"]),
        )

    def rounded(self) -> "RunTimings":
        """Return these in whole milliseconds, as `summary.json` has them."""
        return replace(
            self,
            wall_s=round(self.wall_s, 3),
            stage_s=StageSeconds(*(round(each, 3) for each in astuple(self.stage_s))),
            actor_s=ActorSeconds(*(round(each, 3) for each in astuple(self.actor_s))),
            startup_s=round(self.startup_s, 3),
            making_s=round(self.making_s, 3),
            finishing_s=round(self.finishing_s, 3),
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
    began_at, start = time.time(), time.perf_counter()
    phases = _Phases(began_at)
    images: Counter[str] = Counter()
    stage_s, actor_s = StageSeconds(), ActorSeconds()
    retries = 0
    for receipt in receipts:
        phases.add(receipt)
        images[receipt.part.dataset] += receipt.part.images
        stage_s += receipt.seconds
        actor_s += receipt.actor_s
        retries += receipt.retries
        observer.committed(receipt)
    wall_s = time.perf_counter() - start
    return RunTimings(dict(images), wall_s, stage_s, retries, actor_s, **phases.lengths())


class _Phases:
    """When the first part was taken, the last one made and the last one committed.

    By the clocks of several machines, so that no phase is taken to be shorter than nothing.
    """

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.first_taken_at: float | None = None
        self.last_made_at = self.last_committed_at = began_at

    def add(self, receipt: Receipt) -> None:
        taken_at = max(self.began_at, receipt.taken_at)
        self.first_taken_at = min(taken_at, self.first_taken_at or taken_at)
        self.last_made_at = max(self.last_made_at, taken_at + receipt.actor_s.worked_s)
        self.last_committed_at = time.time()

    def lengths(self) -> dict[str, float]:
        if self.first_taken_at is None:
            return {}
        return {
            "startup_s": self.first_taken_at - self.began_at,
            "making_s": self.last_made_at - self.first_taken_at,
            "finishing_s": max(0.0, self.last_committed_at - self.last_made_at),
        }
