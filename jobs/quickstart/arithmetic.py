"""Drawing arithmetic that gives the same bits on every machine.

Numbers come from `Generator.random` and from `+`, `-`, `*`, `/`, `sqrt` and `floor` on single
elements, which IEEE 754 rounds alike everywhere. Sines, sums over an axis, matrix products and
normal deviates are not rounded alike, so none is used.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Rng = np.random.Generator


def step(inside_pixels: Floats) -> Floats:
    """Return the share of a pixel that lies inside, of its centre's distance to the edge."""
    share: Floats = np.clip(inside_pixels + 0.5, 0, 1)
    return share


def length(u: Floats, v: Floats) -> Floats:
    """Return the length of each vector (u, v)."""
    root: Floats = np.sqrt(u * u + v * v)
    return root


def fraction(x: Floats) -> Floats:
    """Return what is left of each number above the whole number below it."""
    return x - np.floor(x)


def direction(rng: Rng) -> tuple[float, float]:
    """Draw (cos, sin) of an angle through the rational points of the circle, without a cosine."""
    t = between(rng, -1, 1)
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    return ((cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos))[below(rng, 4)]


def between(rng: Rng, low: float, high: float) -> float:
    """Draw a number from `low` up to `high`."""
    return low + (high - low) * float(rng.random())


def below(rng: Rng, count: int) -> int:
    """Draw a whole number from 0 up to `count` - 1."""
    return int(rng.random() * count)
