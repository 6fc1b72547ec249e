"""What is done to a run, and when: decided by a seed."""

import random
from dataclasses import dataclass
from typing import Self

FORMS = ("folder", "tars", "tables")
KINDS = ("actor", "reader", "driver", "server", "proxy", "node")

_LATEST_PART = 6  # of some ten: what is done then still finds a run that goes on
_MOST_DELAY_S = 0.2
_DOWN_S = (0.5, 4.0)


@dataclass(frozen=True)
class Strike:
    """One thing that is killed.

    Attributes:
        kind: One of `KINDS`, but "proxy".
        after_parts: It happens once so many parts are committed,
        delay_s: and so much later.
        down_s: How long the server is away.
        choice: From 0 to 1, which of several is taken.
    """

    kind: str
    after_parts: int
    delay_s: float
    down_s: float
    choice: float


@dataclass(frozen=True)
class Schedule:
    """All that is done to the runs of one job.

    Attributes:
        seed: What it was made from.
        form: One of `FORMS`.
        kinds: Those of its faults.
        strikes: In their order; each is done once, in whichever run of the job is going on then.
    """

    seed: int
    form: str
    kinds: tuple[str, ...]
    strikes: tuple[Strike, ...]

    @classmethod
    def of_one_kind(cls, kind: str, form: str, seed: int) -> Self:
        """Return a schedule with one fault."""
        return cls._make(_dice(seed), seed, form, [kind])

    @classmethod
    def mixed(cls, seed: int) -> Self:
        """Return a schedule with two or three faults; each form meets each kind in 18 seeds."""
        dice = _dice(seed)
        form, kind = FORMS[seed % 3], KINDS[seed // 3 % len(KINDS)]
        others = [other for other in KINDS if other not in {kind, "node"}]
        kinds = [kind, *dice.sample(others, dice.randint(1, 2))]
        dice.shuffle(kinds)
        return cls._make(dice, seed, form, kinds)

    @classmethod
    def _make(cls, dice: random.Random, seed: int, form: str, kinds: list[str]) -> Self:
        struck = [kind for kind in kinds if kind not in {"proxy", "reader"}]
        moments = sorted(dice.sample(range(1, _LATEST_PART + 1), len(struck)))
        if "reader" in kinds:
            # So little is read before the first part is committed: a reader is hit as it starts,
            # and where a driver is killed one that starts again.
            place = struck.index("driver") + 1 if "driver" in struck else 0
            struck.insert(place, "reader")
            moments.insert(place, moments[place - 1] if place else 0)
        strikes = [
            Strike(
                kind,
                after_parts,
                delay_s=dice.uniform(0, _MOST_DELAY_S),
                down_s=dice.uniform(*_DOWN_S),
                choice=dice.random(),
            )
            for kind, after_parts in zip(struck, moments, strict=True)
        ]
        return cls(seed, form, tuple(kinds), tuple(strikes))


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - to be repeated, not secret
