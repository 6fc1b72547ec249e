"""The shapes of the objects in the scenes."""

from collections.abc import Callable

import numpy as np

from jobs.quickstart.arithmetic import Floats, Rng, between, direction, length

Outline = Callable[[Floats, Floats], Floats]
"""Returns how far outside the shape, in pixels, the points (x, y) about its centre lie."""


def _ellipse(rng: Rng, radius: float) -> Outline:
    squash = between(rng, 1, 1.5)
    cos, sin = direction(rng)

    def outside(x: Floats, y: Floats) -> Floats:
        u, v = x * cos + y * sin, (y * cos - x * sin) * squash
        return (length(u, v) - radius) / np.float32(squash)

    return outside


def _rectangle(rng: Rng, radius: float) -> Outline:
    """A rotated rectangle with rounded corners."""
    cos, sin = direction(rng)
    half_width, half_height = radius * 0.8, radius * between(rng, 0.55, 0.75)

    def outside(x: Floats, y: Floats) -> Floats:
        u = np.maximum(np.abs(x * cos + y * sin) - (half_width - 6), 0)
        v = np.maximum(np.abs(y * cos - x * sin) - (half_height - 6), 0)
        return length(u, v) - 6

    return outside


def _triangle(rng: Rng, radius: float) -> Outline:
    cos, sin = direction(rng)

    def outside(x: Floats, y: Floats) -> Floats:
        u, v = x * cos + y * sin, np.abs(y * cos - x * sin)
        furthest: Floats = np.maximum(-u, 0.5 * u + 0.8660254 * v)  # of the three sides
        return furthest - 0.6 * radius

    return outside


def _blob(rng: Rng, radius: float) -> Outline:
    """A circle that swells and shrinks two and three times on the way round."""
    cos, sin = direction(rng)
    two, three = between(rng, -0.14, 0.14), between(rng, 0.05, 0.12)

    def outside(x: Floats, y: Floats) -> Floats:
        u, v = x * cos + y * sin, y * cos - x * sin
        distance = length(u, v) + np.float32(1e-3)
        u, v = u / distance, v / distance
        swell = two * (u * u - v * v) + three * u * (u * u - 3 * v * v)
        edge: Floats = radius * (0.82 + swell)
        return distance - edge

    return outside


OUTLINES: tuple[Callable[[Rng, float], Outline], ...] = (_ellipse, _rectangle, _triangle, _blob)
"""Makers of outlines that stay within a radius, in pixels."""
