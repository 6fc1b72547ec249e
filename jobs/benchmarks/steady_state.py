"""How fast the actors of a run were while all were at work, by when they took and made parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.stages.receipt import Receipt


@dataclass(frozen=True)
class Work:
    """A part in an actor's hands.

    Attributes:
        begin_s: When it was taken.
        end_s: When it was made.
        images: Its images.
    """

    begin_s: float
    end_s: float
    images: int

    @classmethod
    def of(cls, receipt: Receipt) -> "Work":
        """Return what a receipt says of a part."""
        end_s = receipt.taken_at + receipt.actor_s.worked_s
        return cls(receipt.taken_at, end_s, receipt.part.images)


@dataclass(frozen=True)
class SteadyState:
    """The time from when all actors were at work until the last part was taken.

    Attributes:
        seconds: Its length.
        images_per_s: Images made in it; of a part at its border, the share that lies within.
        busy: Share of the actors' time that they held a part.
    """

    seconds: float
    images_per_s: float
    busy: float


def most_at_once(parts: Sequence[Work]) -> int:
    """Return how many parts were in actors' hands at once, at most."""
    return max((number for _, number in _in_hands(parts)), default=0)


def steady_state(parts: Sequence[Work], actors: int) -> SteadyState | None:
    """Return how fast actors were once all were at work; None if they never were, or took no more.

    Args:
        parts: Every part of a run.
        actors: How many actors the pool has.
    """
    begin_s = next((when for when, number in _in_hands(parts) if number >= actors), None)
    end_s = max((part.begin_s for part in parts), default=0.0)
    if begin_s is None or end_s <= begin_s:
        return None
    seconds = end_s - begin_s
    images = held_s = 0.0
    for part in parts:
        within_s = max(0.0, min(part.end_s, end_s) - max(part.begin_s, begin_s))
        images += part.images * within_s / (part.end_s - part.begin_s)
        held_s += within_s
    return SteadyState(seconds, images / seconds, held_s / (actors * seconds))


def _in_hands(parts: Sequence[Work]) -> list[tuple[float, int]]:
    """Return how many parts were in actors' hands, at each time that this changed."""
    changes = sorted([(part.begin_s, 1) for part in parts] + [(part.end_s, -1) for part in parts])
    number, numbers = 0, []
    for when, change in changes:
        number += change
        numbers.append((when, number))
    return numbers
