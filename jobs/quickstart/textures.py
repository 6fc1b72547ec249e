"""What the classes of the scenes look like: a texture each, of two colours."""

from collections.abc import Callable

import numpy as np

from jobs.quickstart.arithmetic import Floats, Rng, between, fraction, length, step

Texture = Callable[[Rng, Floats, Floats], Floats]
"""Returns the share of the second colour, 0 to 1, at the points (u, v), in pixels."""


def _bands(u: Floats, *, period: float, share: float) -> Floats:
    """Return 1 on bands that fill `share` of each period, 0 between them, smooth over a pixel."""
    return step((share / 2 - np.abs(fraction(u / period) - 0.5)) * period)


def _felt(rng: Rng, u: Floats, v: Floats) -> Floats:
    weight = np.zeros_like(u)
    for cell, share in ((26.0, 0.5), (11.0, 0.3), (4.0, 0.2)):
        weight += np.float32(share) * _value_noise(rng, u / cell, v / cell)
    contrasted: Floats = np.clip(1.6 * weight - 0.3, 0, 1)
    return contrasted


def _value_noise(rng: Rng, u: Floats, v: Floats) -> Floats:
    """Interpolate a random lattice, which repeats every 32 cells, smoothly at (u, v)."""
    lattice = rng.random(32 * 32, np.float32)
    column, row = np.floor(u), np.floor(v)
    s, t = u - column, v - row
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    left, top = column.astype(np.int32) & 31, row.astype(np.int32) & 31
    right, top, bottom = (left + 1) & 31, top * 32, ((top + 1) & 31) * 32
    above_left, below_left = lattice.take(top + left), lattice.take(bottom + left)
    above = above_left + s * (lattice.take(top + right) - above_left)
    below = below_left + s * (lattice.take(bottom + right) - below_left)
    return above + t * (below - above)


def _cobbles(rng: Rng, u: Floats, v: Floats) -> Floats:
    """Cells around the points of a jittered lattice, domed, each one a little lighter or darker."""
    pitch = np.float32(between(rng, 17, 24))
    offsets_u, offsets_v, tints = rng.random((3, 32 * 32), np.float32)
    offsets_u, offsets_v = 0.15 + 0.7 * offsets_u, 0.15 + 0.7 * offsets_v
    u, v = u / pitch, v / pitch
    column, row = np.floor(u), np.floor(v)
    s, t = u - column, v - row
    left, top = column.astype(np.int32), row.astype(np.int32)
    nearest, second = np.full_like(u, 9), np.full_like(u, 9)
    owner = np.zeros_like(left)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            cell = ((top + down) & 31) * 32 + ((left + right) & 31)
            du = s - (offsets_u + right).take(cell)
            dv = t - (offsets_v + down).take(cell)
            squared = du * du + dv * dv
            np.copyto(owner, cell, where=squared < nearest)
            second = np.minimum(second, np.maximum(nearest, squared))
            nearest = np.minimum(nearest, squared)
    joint = (np.sqrt(second) - np.sqrt(nearest)) * pitch
    dome = np.clip(1.05 - 0.7 * nearest, 0.5, 1)
    weight: Floats = step((joint - 3) / 2) * dome * (0.75 + 0.25 * tints.take(owner))
    return weight


def _stripes(rng: Rng, u: Floats, _v: Floats) -> Floats:
    return _bands(u, period=between(rng, 10, 17), share=between(rng, 0.4, 0.6))


def _checks(rng: Rng, u: Floats, v: Floats) -> Floats:
    period = between(rng, 18, 27)
    columns, rows = _bands(u, period=period, share=0.5), _bands(v, period=period, share=0.5)
    return columns + rows - 2 * columns * rows


def _dots(rng: Rng, u: Floats, v: Floats) -> Floats:
    pitch = between(rng, 13, 19)
    row = np.floor(v / pitch)
    du = fraction(u / pitch + 0.5 * row) - 0.5
    dv = v / pitch - row - 0.5
    return step((between(rng, 0.28, 0.36) - length(du, dv)) * pitch)


def _waves(rng: Rng, u: Floats, v: Floats) -> Floats:
    """Bands that swing from side to side; two parabolas stand in for the sine."""
    ramp = 4 * np.abs(fraction(v / between(rng, 30, 42)) - 0.5) - 1
    swing = ramp * (2 - np.abs(ramp))
    bent = u + between(rng, 5, 7.5) * swing
    return _bands(bent, period=between(rng, 12, 18), share=between(rng, 0.4, 0.6))


def _bricks(rng: Rng, u: Floats, v: Floats) -> Floats:
    """Courses that start half a brick apart, each brick a little lighter or darker."""
    height = between(rng, 9, 13)
    breadth = height * between(rng, 2, 2.6)
    tints = rng.random((32, 32), np.float32)
    row = np.floor(v / height)
    along = u / breadth + 0.5 * row
    column = np.floor(along)
    tint: Floats = tints[row.astype(np.intp) & 31, column.astype(np.intp) & 31]
    to_bed = (0.5 - np.abs(v / height - row - 0.5)) * height
    to_end = (0.5 - np.abs(along - column - 0.5)) * breadth
    weight: Floats = step(np.minimum(to_bed, to_end) - between(rng, 0.9, 1.4))
    return weight * (0.7 + 0.3 * tint)


TEXTURES: dict[str, Texture] = {
    "felt": _felt,
    "cobbles": _cobbles,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "waves": _waves,
    "bricks": _bricks,
}
"""Textures by class name."""
