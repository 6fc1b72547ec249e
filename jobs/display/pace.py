"""The pace of a dataset: how far it is, how fast it goes, what failed, how long it will take."""

from collections import Counter
from collections.abc import Mapping


class Pace:
    """How far a dataset, or several together, have got in a run.

    Args:
        total: Images in all; None if only reading the shards tells.
        done: Images that were committed before this run.

    Attributes:
        total: As given.
        done: Images that are committed.
        failed: Images that failed in this run, by status.
    """

    def __init__(self, total: int | None, done: int) -> None:
        self.total = total
        self.done = done
        self.failed: Counter[str] = Counter()
        self._first: tuple[float, int] | None = None  # when the first part came, what was done then

    @property
    def complete(self) -> bool:
        """Whether every image is committed, as far as one knows."""
        return self.total is not None and self.done >= self.total

    def add(self, images: int, failed: Mapping[str, int], now: float, *, again: bool) -> None:
        """Count a part that was committed.

        Args:
            images: Its images.
            failed: Those that failed, by status.
            now: When, by `time.monotonic`.
            again: Whether it was committed before.
        """
        self.done += 0 if again else images
        self.failed.update(failed)
        self._first = self._first or (now, self.done)

    def images_per_s(self, now: float) -> float:
        """Return the speed since the first part came: what starting took says nothing of it."""
        if self._first is None or now <= self._first[0]:
            return 0.0
        return (self.done - self._first[1]) / (now - self._first[0])

    def left_s(self, now: float) -> float | None:
        """Return how long the rest will take; None if nobody can tell."""
        images_per_s = self.images_per_s(now)
        if not images_per_s or self.total is None:
            return None
        return (self.total - self.done) / images_per_s

    def describe(self, now: float) -> str:
        """Return speed, failures by reason and time left, in words."""
        words = []
        if self.images_per_s(now):
            words.append(f"{self.images_per_s(now):.1f} images/s")
        words += [f"{number} {status}" for status, number in sorted(self.failed.items())]
        left_s = self.left_s(now)
        if left_s:
            words.append(f"{duration(left_s)} left")
        return ", ".join(words)


def duration(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    values = {"d": days, "h": hours, "min": minutes, "s": rest_s}
    units = [unit for unit, value in values.items() if value]
    if not units:
        return "0 s"
    first = list(values).index(units[0])
    shown = list(values)[first : first + 2]
    return " ".join(f"{values[unit]} {unit}" for unit in shown if values[unit])
