"""An estimate with its 95 % margin: what a sample tells, and what it leaves open."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.95
# Student's t for the level, of 1 to 15 degrees of freedom; beyond, its expansion holds to 0.0001.
_STUDENT: Final = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
    2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314,
)  # fmt: skip


@dataclass(frozen=True)
class Amount:
    """A number and how far off it may be.

    Attributes:
        value: The number.
        margin: Half the width of its 95 % interval; None if the sample is too small to tell.
    """

    value: float
    margin: float | None = 0.0

    def scaled(self, factor: float) -> "Amount":
        """Return the amount times a number that is known."""
        margin = None if self.margin is None else self.margin * abs(factor)
        return Amount(self.value * factor, margin)

    def times(self, other: "Amount") -> "Amount":
        """Return the product with an amount that is known from something else.

        Its relative margin is the root of the sum of both squares, which holds for small ones.
        """
        value = self.value * other.value
        if self.margin is None or other.margin is None:
            return Amount(value, None)
        return Amount(value, math.hypot(self.margin * other.value, other.margin * self.value))

    def inverse(self) -> "Amount":
        """Return 1 over the amount, which is not 0."""
        margin = None if self.margin is None else self.margin / self.value**2
        return Amount(1 / self.value, margin)


def total(amounts: Sequence[Amount]) -> Amount:
    """Return the sum of amounts that are known from different samples."""
    margins = [amount.margin for amount in amounts]
    known = [margin for margin in margins if margin is not None]
    value = sum(amount.value for amount in amounts)
    return Amount(value, math.hypot(*known) if len(known) == len(margins) else None)


def ratio(draws: Sequence[tuple[float, float]], *, of: int | None = None) -> Amount:
    """Estimate the sum of y over the sum of x of many, from some that were drawn at random.

    Source: Cochran, Sampling Techniques, 1977, section 6.4; with Student's t for few draws.

    Args:
        draws: y and x of each; the sum of x is not 0.
        of: How many there are to be drawn; if all were, nothing is uncertain. None: any number.
    """
    drawn, total_x = len(draws), sum(x for _, x in draws)
    value = sum(y for y, _ in draws) / total_x
    if of is not None and drawn >= of:
        return Amount(value)
    if drawn < 2:
        return Amount(value, None)
    variance = sum((y - value * x) ** 2 for y, x in draws) / (drawn - 1)
    undrawn = 1.0 if of is None else 1 - drawn / of
    error = math.sqrt(undrawn * variance / drawn) / (total_x / drawn)
    return Amount(value, student(drawn - 1) * error)


def student(freedom: int) -> float:
    """Return between which multiples of its standard error an estimate lies, at the level.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5, two terms.

    Args:
        freedom: Degrees of freedom.
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    normal = NormalDist().inv_cdf((1 + LEVEL) / 2)
    first = (normal**3 + normal) / 4
    second = (5 * normal**5 + 16 * normal**3 + 3 * normal) / 96
    return normal + first / freedom + second / freedom**2
