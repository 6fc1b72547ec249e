"""Small labelled scenes, drawn from a seed: cut-out shapes on two kinds of ground.

A class is a texture. Its two colours, its pitch and its direction are drawn at random, from the
same distribution for each class, so colour alone does not tell the classes apart.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.quickstart.arithmetic import Floats, Rng, below, between, direction, step
from jobs.quickstart.outlines import OUTLINES
from jobs.quickstart.textures import TEXTURES

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

    colour: Floats
    target: NDArray[np.uint8]
    x: Floats
    y: Floats

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
    width, height = _SIZES[below(rng, len(_SIZES))]
    y, x = np.indices((height, width)).astype(np.float32)
    canvas = _Canvas(
        colour=np.zeros((3, height, width), np.float32),
        target=np.empty((height, width), np.uint8),
        x=x,
        y=y,
    )
    light = direction(rng)
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


def _paint_grounds(rng: Rng, canvas: _Canvas) -> None:
    """Fill the canvas with one ground, and all beyond a straight edge with the other one."""
    first = below(rng, _NUM_GROUNDS)
    height, width = canvas.target.shape
    _paint(rng, canvas, first, np.ones_like(canvas.x))
    across, along = direction(rng)
    offset = between(rng, -0.15, 0.15) * min(height, width)
    beyond = (canvas.x - width / 2) * across + (canvas.y - height / 2) * along - offset
    _paint(rng, canvas, 1 - first, step(beyond))


def _paint_objects(rng: Rng, canvas: _Canvas, light: tuple[float, float]) -> None:
    """Put down four to six objects, far enough apart that each one stays in sight."""
    class_ids = list(range(_NUM_GROUNDS, len(CLASSES)))
    height, width = canvas.target.shape
    placed: list[tuple[float, float, float]] = []
    wanted = 4 + below(rng, 3)
    for _ in range(40):
        if len(placed) == wanted:
            break
        radius = between(rng, 36, 58)
        x, y = between(rng, 20, width - 20), between(rng, 20, height - 20)
        if any(_crowd((x, y, radius), other) for other in placed):
            continue
        if not class_ids:
            class_ids = list(range(_NUM_GROUNDS, len(CLASSES)))
        class_id = class_ids.pop(below(rng, len(class_ids)))
        _paint_object(rng, canvas, class_id, (x, y, radius), light)
        placed.append((x, y, radius))


def _crowd(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Tell whether one of two circles (x, y, radius) would hide too much of the other."""
    x, y, reach = one[0] - other[0], one[1] - other[1], 0.8 * (one[2] + other[2])
    return x * x + y * y < reach * reach


def _paint_object(
    rng: Rng,
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
    outline = OUTLINES[below(rng, len(OUTLINES))](rng, radius)
    u, v = window.x - np.float32(x), window.y - np.float32(y)
    shadow = outline(u - 5 * light[0], v - 5 * light[1])
    window.colour[...] *= 1 - 0.45 * np.clip(0.5 - shadow / 7, 0, 1)
    outside = outline(u, v)
    cover = step(-outside)
    _paint(rng, window, class_id, cover)
    rim = np.clip(1 + outside / 2.5, 0, 1) * cover
    facing = (u * light[0] + v * light[1]) / radius
    window.colour[...] *= 1 - 0.22 * rim - 0.12 * facing * cover


def _paint(rng: Rng, canvas: _Canvas, class_id: int, cover: Floats) -> None:
    """Lay a class's texture over the canvas where `cover` is 1, and label what it mostly covers."""
    cos, sin = direction(rng)
    shift_u, shift_v = between(rng, 0, 512), between(rng, 0, 512)
    u = canvas.x * cos + canvas.y * sin + shift_u
    v = canvas.y * cos - canvas.x * sin + shift_v
    weight = TEXTURES[CLASSES[class_id]](rng, u, v)
    for channel, (low, high) in enumerate(zip(*_colour_pair(rng), strict=True)):
        plane = canvas.colour[channel]
        plane += cover * (low + (high - low) * weight - plane)
    canvas.target[cover >= 0.5] = class_id


def _photograph(rng: Rng, canvas: _Canvas, light: tuple[float, float]) -> NDArray[np.uint8]:
    """Light the scene from one side, tint the light, and add the noise of a sensor."""
    height, width = canvas.target.shape
    u, v = canvas.x / width - 0.5, canvas.y / height - 0.5
    fall = between(rng, 0.1, 0.5)
    exposure = between(rng, 0.9, 1.2)
    shade = exposure * (1 - fall * (u * light[0] + v * light[1]) - 0.35 * (u * u + v * v))
    grain = between(rng, 0.02, 0.08)
    image = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        noise = rng.random(shade.shape, np.float32) + rng.random(shade.shape, np.float32) - 1
        tint = between(rng, 0.82, 1.1)
        lit = canvas.colour[channel] * shade * tint + grain * noise
        image[..., channel] = np.floor(np.clip(lit, 0, 1) * 255 + 0.5)
    return image


def _colour_pair(rng: Rng) -> tuple[list[float], list[float]]:
    """Draw two colours that differ in lightness, in either order; the same for every class."""
    while True:
        pair = _colour(rng), _colour(rng)
        dark, bright = (0.3 * red + 0.6 * green + 0.1 * blue for red, green, blue in pair)
        if abs(dark - bright) >= 0.25:
            return pair


def _colour(rng: Rng) -> list[float]:
    """Draw a colour of any hue, neither garish nor black, as RGB in 0 to 1."""
    hue, saturation = between(rng, 0, 6), between(rng, 0.1, 0.7)
    value = between(rng, 0.3, 1)
    channels = []
    for offset in (0, 4, 2):  # HSV to RGB, in which red, green and blue are thirds of a turn apart
        distance = abs((hue + offset) % 6 - 3)
        channels.append(value * (1 - saturation * (1 - min(max(distance - 1, 0.0), 1.0))))
    return channels
