"""Images too large for one pass: overlapping tiles, whose probabilities are blended smoothly."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from refinenet_core.networks.normalisation import Image, Normalisation, normalise, scaled_size, send

OVERLAP_PIXELS: Final = 256  # of neighbouring tiles: more than what the coarsest features look at
SMALLEST_TILE_PIXELS: Final = (2 * OVERLAP_PIXELS) ** 2
_ALIGNMENT: Final = 32  # tiles begin where the coarsest features have a cell of the whole image
_STRIDE: Final = 4


class TiledMap:
    """Probabilities of a large image at one scale; an averaging's `ProbabilityMap`.

    Tiles are cut at the scale, go through the network one by one, and are added with weights that
    fall off towards their inner edges. Only the rows that a row of tiles covers are held.

    Args:
        predict: Returns the probabilities (1, C, ceil(h / 4), ceil(w / 4)), float32, of normalised
            pixels (1, 3, h, w).
        image: RGB, shape (H, W, 3), uint8.
        scale: Factor on the image's sides.
        tile_pixels: Pixels of a tile at most, at the scale.
        normalisation: What pixels are normalised with.
        device: Where to compute.
    """

    def __init__(
        self,
        predict: Callable[[Tensor], Tensor],
        image: Image,
        scale: float,
        *,
        tile_pixels: int,
        normalisation: Normalisation,
        device: torch.device,
    ) -> None:
        self.predict = predict
        self.image = image
        self.size = scaled_size(image.shape[0], image.shape[1], scale)
        self.normalisation = normalisation
        self.device = device
        self.height, self.width = (-(-side // _STRIDE) for side in self.size)
        self._spans = [_spans(side, _tile_side(self.size, tile_pixels)) for side in self.size]
        self._restart()

    def rows(self, first: int, last: int) -> Tensor:
        """Return rows `first` to `last - 1`; one before those given out begins from the top."""
        if first < self._first:
            self._restart()
        while self._ready < last:
            self._add_tiles()
        self._drop(first)
        total_CRw = self._total_CRw[:, : last - first]
        return total_CRw / self._weight_Rw[: last - first]

    def _restart(self) -> None:
        self._rows_of_tiles = iter(self._spans[0])
        self._first = self._ready = 0  # rows held begin at the one, and are finished to the other
        self._weight_Rw = torch.zeros(0, self.width, device=self.device)
        self._total_CRw = torch.zeros(0, 0, self.width, device=self.device)

    def _add_tiles(self) -> None:
        """Predict the next row of tiles and add it to the rows that are held."""
        top, bottom = next(self._rows_of_tiles)
        following = [start for start, _ in self._spans[0] if start > top]
        low, high = top // _STRIDE, -(-bottom // _STRIDE)
        vertical = _ramps(top, bottom, self._spans[0])
        for left, right in self._spans[1]:
            pixels = crop_scaled(
                self.image,
                self.size,
                rows=(top, bottom),
                columns=(left, right),
                normalisation=self.normalisation,
                device=self.device,
            )
            tile_CHW = self.predict(pixels)[0]
            self._extend(len(tile_CHW), high)
            horizontal = _ramps(left, right, self._spans[1])
            weight_HW = send(vertical[:, None] * horizontal[None], self.device)
            rows = slice(low - self._first, high - self._first)
            columns = slice(left // _STRIDE, -(-right // _STRIDE))
            self._total_CRw[:, rows, columns] += tile_CHW * weight_HW
            self._weight_Rw[rows, columns] += weight_HW
        self._ready = following[0] // _STRIDE if following else self.height

    def _extend(self, num_classes: int, last: int) -> None:
        """Make room for rows up to `last`."""
        more = last - self._first - len(self._weight_Rw)
        if more > 0:
            total_CRw = self._total_CRw.new_zeros(num_classes, more, self.width)
            held = self._total_CRw if len(self._total_CRw) else total_CRw[:, :0]
            self._total_CRw = torch.cat([held, total_CRw], dim=1)
            weight_Rw = self._weight_Rw.new_zeros(more, self.width)
            self._weight_Rw = torch.cat([self._weight_Rw, weight_Rw])

    def _drop(self, first: int) -> None:
        """Let go of the rows before `first`."""
        behind = first - self._first
        if behind > 0:
            self._total_CRw = self._total_CRw[:, behind:].clone()
            self._weight_Rw = self._weight_Rw[behind:].clone()
            self._first = first


def tiled_pixels(size: tuple[int, int], tile_pixels: int) -> int:
    """Return how many pixels the tiles of an image have together, at a scale's height and width."""
    side = _tile_side(size, tile_pixels)
    rows, columns = (sum(end - begin for begin, end in _spans(each, side)) for each in size)
    return rows * columns


def crop_scaled(
    image: Image,
    size: tuple[int, int],
    *,
    rows: tuple[int, int],
    columns: tuple[int, int],
    normalisation: Normalisation,
    device: torch.device,
) -> Tensor:
    """Return some of what an image resized bilinearly to a size is, shape (1, 3, h, w), normalised.

    Nothing of the size of the whole image is made.
    """
    (first, last, upper, lower, down), (start, end, left, right, across) = (
        _source(side, stored, *span)
        for side, stored, span in zip(size, image.shape[:2], (rows, columns), strict=True)
    )
    crop_HW3 = np.ascontiguousarray(image[first:last, start:end])
    pixels_BCHW = normalise([crop_HW3], device, normalisation)
    if size == image.shape[:2]:
        return pixels_BCHW
    upper, lower, left, right = (send(x, device) for x in (upper, lower, left, right))
    down, across = send(down, device)[:, None], send(across, device)
    tall = torch.lerp(pixels_BCHW[:, :, upper], pixels_BCHW[:, :, lower], down)
    resized = torch.lerp(tall[..., left], tall[..., right], across)
    return resized.contiguous(memory_format=torch.channels_last)


def _source(
    side: int, stored: int, begin: int, end: int
) -> tuple[int, int, Tensor, Tensor, Tensor]:
    """Return which stored pixels a span of a resized side needs, and how it mixes them."""
    places = torch.arange(begin, end, dtype=torch.float64)
    source = ((places + 0.5) * (stored / side) - 0.5).clamp_(min=0)
    near = source.floor()
    first, last = int(near[0]), min(int(near[-1]) + 2, stored)
    upper = near.to(torch.int64) - first
    lower = (upper + 1).clamp_(max=last - first - 1)
    if side == stored:
        last = end
    return first, last, upper, lower, (source - near).to(torch.float32)


def _tile_side(size: tuple[int, int], tile_pixels: int) -> int:
    """Return the side of square tiles; of a strip narrower than that, tiles are longer."""
    square = int(tile_pixels**0.5)
    side = max(square, tile_pixels // max(1, min(size)) if min(size) < square else 0)
    return max(2 * OVERLAP_PIXELS, side // _ALIGNMENT * _ALIGNMENT)


def _spans(length: int, side: int) -> list[tuple[int, int]]:
    """Return where tiles begin and end along a side: evenly, overlapping, to the very edge."""
    if length <= side:
        return [(0, length)]
    tiles = -(-(length - OVERLAP_PIXELS) // (side - OVERLAP_PIXELS))
    ideal = [(length - side) * number / (tiles - 1) for number in range(tiles - 1)]
    starts = [int(start) // _ALIGNMENT * _ALIGNMENT for start in ideal]
    last = -(-(length - side) // _ALIGNMENT) * _ALIGNMENT
    return [(start, start + side) for start in starts] + [(last, length)]


def _ramps(begin: int, end: int, spans: list[tuple[int, int]]) -> Tensor:
    """Return a tile's weights along a side: 1, and falling smoothly where it overlaps another."""
    places = torch.arange(begin // _STRIDE, -(-end // _STRIDE)) * _STRIDE + _STRIDE / 2
    weights = torch.ones(len(places))
    for other_begin, other_end in spans:
        if other_begin < begin < other_end:  # the one before
            rise = ((places - begin) / (other_end - begin)).clamp(0, 1)
            weights = torch.minimum(weights, rise)
        elif begin < other_begin < end:  # the one behind
            fall = ((end - places) / (end - other_begin)).clamp(0, 1)
            weights = torch.minimum(weights, fall)
    return (0.5 - 0.5 * torch.cos(weights * torch.pi)).clamp_(min=1e-3)
