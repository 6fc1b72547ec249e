"""Small labelled scenes, drawn from a seed: cut-out shapes on two kinds of ground.

A class is a texture. Its two colours, its pitch and its direction are drawn at random, from the
same distribution for each class, so colour alone does not tell the classes apart.

A seed gives the same arrays on every machine: pixels come from `Generator.random` and from `+`,
`-`, `*`, `/`, `sqrt` and `floor` on single elements, which IEEE 754 rounds alike everywhere. Sines,
sums over an axis, matrix products and normal deviates are not rounded alike, so none is used.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES: tuple[str, ...] = ("felt", "cobbles", "stripes", "checks", "dots", "waves", "bricks")
"""Class names by class id: two grounds, then what objects are covered with."""
COLOURS: tuple[tuple[int, int, int], ...] = (
    (222, 214, 196),
    (122, 132, 142),
    (228, 87, 86),
    (59, 117, 175),
    (247, 187, 67),
    (70, 166, 150),
    (148, 87, 160),
)
"""A colour for each class, RGB: the palette of the targets."""

_NUM_GROUNDS = 2
_SIZES = ((256, 192),) * 6 + ((192, 256), (240, 208))  # width, height; equal chances

_Floats = NDArray[np.floating[Any]]
_Rng = np.random.Generator
_Texture = Callable[[_Rng, _Floats, _Floats], _Floats]
_Outline = Callable[[_Floats, _Floats], _Floats]


@dataclass(frozen=True)
class Scene:
    """An image and its target.

    Attributes:
        image: RGB, shape (H, W, 3), uint8.
        target: Class ids, shape (H, W), uint8; no pixel is left unlabelled.
    """

    image: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass(frozen=True)
class _Canvas:
    """A scene while it is painted: `colour` is (3, H, W) in 0 to 1, `x` and `y` pixel positions."""

    colour: _Floats
    target: NDArray[np.uint8]
    x: _Floats
    y: _Floats

    def window(self, rows: slice, columns: slice) -> "_Canvas":
        """Return a part of the canvas that shares its memory."""
        part = rows, columns
        return _Canvas(self.colour[:, *part], self.target[part], self.x[part], self.y[part])


def make_scene(seed: int) -> Scene:
    """Draw the scene of a seed.

    Args:
        seed: Any integer from 0 up.

    Returns:
        A scene of 256 x 192 (W x H), 192 x 256 or 240 x 208 pixels.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    width, height = _SIZES[_below(rng, len(_SIZES))]
    y, x = np.indices((height, width)).astype(np.float32)
    canvas = _Canvas(
        colour=np.zeros((3, height, width), np.float32),
        target=np.empty((height, width), np.uint8),
        x=x,
        y=y,
    )
    light = _direction(rng)
    _paint_grounds(rng, canvas)
    _paint_objects(rng, canvas, light)
    return Scene(image=_photograph(rng, canvas, light), target=canvas.target)


def write_dataset(folder: Path, seeds: Iterable[int]) -> None:
    """Write scenes as `images/scene-000123.png` and, with a palette, `targets/scene-000123.png`.

    A file appears whole or not at all, and one that is there stays as it is: a frozen plan knows
    it by its time of modification.

    Args:
        folder: Where `images` and `targets` go; made where missing.
        seeds: Seed of each scene; the file's number.
    """
    for name in ("images", "targets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        name = f"scene-{seed:06d}.png"
        if not (folder / "images" / name).exists():  # written last: its target is there too
            scene = make_scene(seed)
            target = Image.fromarray(scene.target)
            target.putpalette([channel for colour in COLOURS for channel in colour])
            _write_png(folder / "targets" / name, target)
            _write_png(folder / "images" / name, Image.fromarray(scene.image))


def _write_png(path: Path, image: Image.Image) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    image.save(partial, format="PNG", optimize=False)
    partial.replace(path)


def _paint_grounds(rng: _Rng, canvas: _Canvas) -> None:
    """Fill the canvas with one ground, and all beyond a straight edge with the other one."""
    first = _below(rng, _NUM_GROUNDS)
    height, width = canvas.target.shape
    _paint(rng, canvas, first, np.ones_like(canvas.x))
    across, along = _direction(rng)
    offset = _between(rng, -0.15, 0.15) * min(height, width)
    beyond = (canvas.x - width / 2) * across + (canvas.y - height / 2) * along - offset
    _paint(rng, canvas, 1 - first, _step(beyond))


def _paint_objects(rng: _Rng, canvas: _Canvas, light: tuple[float, float]) -> None:
    """Put down four to six objects, far enough apart that each one stays in sight."""
    class_ids = list(range(_NUM_GROUNDS, len(CLASSES)))
    height, width = canvas.target.shape
    placed: list[tuple[float, float, float]] = []
    wanted = 4 + _below(rng, 3)
    for _ in range(40):
        if len(placed) == wanted:
            break
        radius = _between(rng, 36, 58)
        x, y = _between(rng, 20, width - 20), _between(rng, 20, height - 20)
        if any(_crowd((x, y, radius), other) for other in placed):
            continue
        if not class_ids:
            class_ids = list(range(_NUM_GROUNDS, len(CLASSES)))
        class_id = class_ids.pop(_below(rng, len(class_ids)))
        _paint_object(rng, canvas, class_id, (x, y, radius), light)
        placed.append((x, y, radius))


def _crowd(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Tell whether one of two circles (x, y, radius) would hide too much of the other."""
    x, y, reach = one[0] - other[0], one[1] - other[1], 0.8 * (one[2] + other[2])
    return x * x + y * y < reach * reach


def _paint_object(
    rng: _Rng,
    canvas: _Canvas,
    class_id: int,
    circle: tuple[float, float, float],
    light: tuple[float, float],
) -> None:
    """Paint a shadow, then the object; `circle` (x, y, radius) is what its outline stays within."""
    x, y, radius = circle
    reach = int(1.25 * radius) + 10
    window = canvas.window(
        slice(max(int(y) - reach, 0), int(y) + reach), slice(max(int(x) - reach, 0), int(x) + reach)
    )
    outline = _OUTLINES[_below(rng, len(_OUTLINES))](rng, radius)
    u, v = window.x - np.float32(x), window.y - np.float32(y)
    shadow = outline(u - 5 * light[0], v - 5 * light[1])
    window.colour[...] *= 1 - 0.45 * np.clip(0.5 - shadow / 7, 0, 1)
    outside = outline(u, v)
    cover = _step(-outside)
    _paint(rng, window, class_id, cover)
    rim = np.clip(1 + outside / 2.5, 0, 1) * cover
    facing = (u * light[0] + v * light[1]) / radius
    window.colour[...] *= 1 - 0.22 * rim - 0.12 * facing * cover


def _paint(rng: _Rng, canvas: _Canvas, class_id: int, cover: _Floats) -> None:
    """Lay a class's texture over the canvas where `cover` is 1, and label what it mostly covers."""
    cos, sin = _direction(rng)
    shift_u, shift_v = _between(rng, 0, 512), _between(rng, 0, 512)
    u = canvas.x * cos + canvas.y * sin + shift_u
    v = canvas.y * cos - canvas.x * sin + shift_v
    weight = _TEXTURES[class_id](rng, u, v)
    for channel, (low, high) in enumerate(zip(*_colour_pair(rng), strict=True)):
        plane = canvas.colour[channel]
        plane += cover * (low + (high - low) * weight - plane)
    canvas.target[cover >= 0.5] = class_id


def _photograph(rng: _Rng, canvas: _Canvas, light: tuple[float, float]) -> NDArray[np.uint8]:
    """Light the scene from one side, tint the light, and add the noise of a sensor."""
    height, width = canvas.target.shape
    u, v = canvas.x / width - 0.5, canvas.y / height - 0.5
    fall = _between(rng, 0.1, 0.5)
    exposure = _between(rng, 0.9, 1.2)
    shade = exposure * (1 - fall * (u * light[0] + v * light[1]) - 0.35 * (u * u + v * v))
    grain = _between(rng, 0.02, 0.08)
    image = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        noise = rng.random(shade.shape, np.float32) + rng.random(shade.shape, np.float32) - 1
        tint = _between(rng, 0.82, 1.1)
        lit = canvas.colour[channel] * shade * tint + grain * noise
        image[..., channel] = np.floor(np.clip(lit, 0, 1) * 255 + 0.5)
    return image


def _colour_pair(rng: _Rng) -> tuple[list[float], list[float]]:
    """Draw two colours that differ in lightness, in either order; the same for every class."""
    while True:
        pair = _colour(rng), _colour(rng)
        dark, bright = (0.3 * red + 0.6 * green + 0.1 * blue for red, green, blue in pair)
        if abs(dark - bright) >= 0.25:
            return pair


def _colour(rng: _Rng) -> list[float]:
    """Draw a colour of any hue, neither garish nor black, as RGB in 0 to 1."""
    hue, saturation = _between(rng, 0, 6), _between(rng, 0.1, 0.7)
    value = _between(rng, 0.3, 1)
    channels = []
    for offset in (0, 4, 2):  # HSV to RGB, in which red, green and blue are thirds of a turn apart
        distance = abs((hue + offset) % 6 - 3)
        channels.append(value * (1 - saturation * (1 - min(max(distance - 1, 0.0), 1.0))))
    return channels


def _felt(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    weight = np.zeros_like(u)
    for cell, share in ((26.0, 0.5), (11.0, 0.3), (4.0, 0.2)):
        weight += np.float32(share) * _value_noise(rng, u / cell, v / cell)
    contrasted: _Floats = np.clip(1.6 * weight - 0.3, 0, 1)
    return contrasted


def _value_noise(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
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


def _cobbles(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    """Cells around the points of a jittered lattice, domed, each one a little lighter or darker."""
    pitch = np.float32(_between(rng, 17, 24))
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
    weight: _Floats = _step((joint - 3) / 2) * dome * (0.75 + 0.25 * tints.take(owner))
    return weight


def _stripes(rng: _Rng, u: _Floats, _v: _Floats) -> _Floats:
    return _bands(u, period=_between(rng, 10, 17), share=_between(rng, 0.4, 0.6))


def _checks(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    period = _between(rng, 18, 27)
    columns, rows = _bands(u, period=period, share=0.5), _bands(v, period=period, share=0.5)
    return columns + rows - 2 * columns * rows


def _dots(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    pitch = _between(rng, 13, 19)
    row = np.floor(v / pitch)
    du = _fraction(u / pitch + 0.5 * row) - 0.5
    dv = v / pitch - row - 0.5
    return _step((_between(rng, 0.28, 0.36) - _length(du, dv)) * pitch)


def _waves(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    """Bands that swing from side to side; two parabolas stand in for the sine."""
    ramp = 4 * np.abs(_fraction(v / _between(rng, 30, 42)) - 0.5) - 1
    swing = ramp * (2 - np.abs(ramp))
    bent = u + _between(rng, 5, 7.5) * swing
    return _bands(bent, period=_between(rng, 12, 18), share=_between(rng, 0.4, 0.6))


def _bricks(rng: _Rng, u: _Floats, v: _Floats) -> _Floats:
    """Courses that start half a brick apart, each brick a little lighter or darker."""
    height = _between(rng, 9, 13)
    length = height * _between(rng, 2, 2.6)
    tints = rng.random((32, 32), np.float32)
    row = np.floor(v / height)
    along = u / length + 0.5 * row
    column = np.floor(along)
    tint: _Floats = tints[row.astype(np.intp) & 31, column.astype(np.intp) & 31]
    to_bed = (0.5 - np.abs(v / height - row - 0.5)) * height
    to_end = (0.5 - np.abs(along - column - 0.5)) * length
    weight: _Floats = _step(np.minimum(to_bed, to_end) - _between(rng, 0.9, 1.4))
    return weight * (0.7 + 0.3 * tint)


_TEXTURES: tuple[_Texture, ...] = (_felt, _cobbles, _stripes, _checks, _dots, _waves, _bricks)


def _ellipse(rng: _Rng, radius: float) -> _Outline:
    squash = _between(rng, 1, 1.5)
    cos, sin = _direction(rng)

    def outside(x: _Floats, y: _Floats) -> _Floats:
        u, v = x * cos + y * sin, (y * cos - x * sin) * squash
        return (_length(u, v) - radius) / np.float32(squash)

    return outside


def _rectangle(rng: _Rng, radius: float) -> _Outline:
    """A rotated rectangle with rounded corners."""
    cos, sin = _direction(rng)
    half_width, half_height = radius * 0.8, radius * _between(rng, 0.55, 0.75)

    def outside(x: _Floats, y: _Floats) -> _Floats:
        u = np.maximum(np.abs(x * cos + y * sin) - (half_width - 6), 0)
        v = np.maximum(np.abs(y * cos - x * sin) - (half_height - 6), 0)
        return _length(u, v) - 6

    return outside


def _triangle(rng: _Rng, radius: float) -> _Outline:
    cos, sin = _direction(rng)

    def outside(x: _Floats, y: _Floats) -> _Floats:
        u, v = x * cos + y * sin, np.abs(y * cos - x * sin)
        furthest: _Floats = np.maximum(-u, 0.5 * u + 0.8660254 * v)  # of the three sides
        return furthest - 0.6 * radius

    return outside


def _blob(rng: _Rng, radius: float) -> _Outline:
    """A circle that swells and shrinks two and three times on the way round."""
    cos, sin = _direction(rng)
    two, three = _between(rng, -0.14, 0.14), _between(rng, 0.05, 0.12)

    def outside(x: _Floats, y: _Floats) -> _Floats:
        u, v = x * cos + y * sin, y * cos - x * sin
        distance = _length(u, v) + np.float32(1e-3)
        u, v = u / distance, v / distance
        swell = two * (u * u - v * v) + three * u * (u * u - 3 * v * v)
        edge: _Floats = radius * (0.82 + swell)
        return distance - edge

    return outside


_OUTLINES: tuple[Callable[[_Rng, float], _Outline], ...] = (_ellipse, _rectangle, _triangle, _blob)


def _bands(u: _Floats, *, period: float, share: float) -> _Floats:
    """Return 1 on bands that fill `share` of each period, 0 between them, smooth over a pixel."""
    return _step((share / 2 - np.abs(_fraction(u / period) - 0.5)) * period)


def _step(inside_pixels: _Floats) -> _Floats:
    """Return the share of a pixel that lies inside, of its centre's distance to the edge."""
    share: _Floats = np.clip(inside_pixels + 0.5, 0, 1)
    return share


def _length(u: _Floats, v: _Floats) -> _Floats:
    length: _Floats = np.sqrt(u * u + v * v)
    return length


def _fraction(x: _Floats) -> _Floats:
    return x - np.floor(x)


def _direction(rng: _Rng) -> tuple[float, float]:
    """Draw (cos, sin) of an angle through the rational points of the circle, without a cosine."""
    t = _between(rng, -1, 1)
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    return ((cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos))[_below(rng, 4)]


def _between(rng: _Rng, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _below(rng: _Rng, count: int) -> int:
    return int(rng.random() * count)
