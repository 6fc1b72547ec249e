"""Polygons along the pixels' edges: they cover a mask exactly, holes included."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ring = list[tuple[int, int]]
Polygon = list[Ring]

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


def trace_polygons(mask: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Return polygons that cover a mask exactly: the error is 0 pixels.

    There is one for each group of pixels that share sides; pixels that touch at a corner only are
    in different ones. No ring meets a point twice, rings have points in common at most, and no
    three points in a row are on a line.

    Args:
        mask: Shape (H, W); pixel (row y, column x) covers the square from (x, y) to (x + 1, y + 1).

    Returns:
        Polygons, each the ring around it and then one ring for each hole. Points are (x, y),
        x to the right and y down, and the first is there again at the end. The shoelace formula
        gives a positive area for outer rings, a negative one for holes.
    """
    points, starts = _corners(mask)
    if not starts:
        return []
    rings = _Rings.of(_walk(points, starts))
    owners = rings.owners(stride=mask.shape[1] + 2)
    outer_first = np.argsort(rings.areas < 0, kind="stable").tolist()
    polygons: dict[int, Polygon] = {number: [] for number in owners}
    for number in outer_first:
        polygons[owners[number]].append(rings.closed(number))
    return list(polygons.values())


@dataclass(frozen=True)
class _Corners:
    """Points at which outlines turn; where two pixels touch at a corner there are two.

    Attributes:
        x: Shape (N,).
        y: Shape (N,).
        up_down: The other end of each point's vertical edge.
        left_right: The other end of its horizontal edge.
    """

    x: _Ints
    y: _Ints
    up_down: _Ints
    left_right: _Ints


def _corners(mask: _Mask) -> tuple[_Corners, list[int]]:
    """Return the corners, and those from which a vertical edge sets out with the mask on its left.

    Seen with y upwards, that is; with y down it is the right.
    """
    padded = np.pad(mask.astype(bool), 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    odd = above_left ^ above_right ^ below_left ^ below_right
    touching = ~odd & (above_left ^ above_right) & (above_left ^ below_left)
    (y_odd, x_odd), (y_two, x_two) = np.nonzero(odd), np.nonzero(touching)
    falling = above_left[y_two, x_two]  # the pixels that touch are above left and below right
    zeros = np.zeros(len(y_odd), dtype=np.int64)
    first, second = np.zeros(len(y_two), dtype=np.int64), np.ones(len(y_two), dtype=np.int64)
    y, x = np.concatenate([y_odd, y_two, y_two]), np.concatenate([x_odd, x_two, x_two])
    # Of the two at a point the first has the edge above, and that on the side of its pixel.
    vertical = _partners(x, y, np.concatenate([zeros, first, second]))
    horizontal = _partners(y, x, np.concatenate([zeros, ~falling, falling]))
    is_top = y < y[vertical]
    top = np.minimum(y, y[vertical])
    mask_to_the_right = below_right[top, x]
    return _Corners(x, y, vertical, horizontal), np.flatnonzero(
        is_top != mask_to_the_right
    ).tolist()


def _partners(line: _Ints, place: _Ints, tie: _Ints) -> _Ints:
    """Return the other end of each point's edge: along a line, every two points bound one."""
    order = np.lexsort((tie, place, line))
    partners = np.empty(len(order), dtype=np.int64)
    partners[order[0::2]] = order[1::2]
    partners[order[1::2]] = order[0::2]
    return partners


def _walk(corners: _Corners, starts: list[int]) -> list[Ring]:
    """Return the outlines as rings; one that comes to a point again is cut in two there."""
    xs, ys = corners.x.tolist(), corners.y.tolist()
    across, along = corners.up_down.tolist(), corners.left_right.tolist()
    seen: set[int] = set()
    rings = []
    for start in starts:
        if start in seen:
            continue
        ring: Ring = []
        places: dict[tuple[int, int], int] = {}
        corner = start
        while corner not in seen:
            seen.add(corner)
            for each in (corner, across[corner]):
                point = (xs[each], ys[each])
                if point in places:
                    loop = ring[places[point] :]
                    rings.append(loop)
                    del ring[places[point] :]
                    for left in loop:
                        del places[left]
                places[point] = len(ring)
                ring.append(point)
            corner = along[across[corner]]
        rings.append(ring)
    return rings


@dataclass(frozen=True)
class _Rings:
    """Rings, their points one behind the other.

    Attributes:
        points: Points (x, y), shape (N, 2).
        following: The point behind each in its ring, shape (N, 2).
        number: The ring of each point, shape (N,).
        first: The first point of each ring, and N, shape (R + 1,).
        areas: Twice the area of each ring, negative for holes, shape (R,).
    """

    points: _Ints
    following: _Ints
    number: _Ints
    first: _Ints
    areas: _Ints

    @classmethod
    def of(cls, rings: list[Ring]) -> "_Rings":
        sizes = np.array([len(ring) for ring in rings])
        first = np.append(0, np.cumsum(sizes))
        points = np.array([point for ring in rings for point in ring], dtype=np.int64)
        behind = np.arange(1, len(points) + 1)
        behind[first[1:] - 1] = first[:-1]
        following = points[behind]
        cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
        areas = np.add.reduceat(cross, first[:-1])
        return cls(points, following, np.repeat(np.arange(len(rings)), sizes), first, areas)

    def closed(self, number: int) -> Ring:
        start, end = self.first[number], self.first[number + 1]
        ring: Ring = [(x, y) for x, y in self.points[start:end].tolist()]
        return [*ring, ring[0]]

    def owners(self, stride: int) -> list[int]:
        """Return the outer ring that each ring belongs to, itself if it is one.

        Left of a hole's leftmost edge is a run of the mask's pixels, which begins at an edge of
        the same polygon, further to the left: of the outer ring, or of another hole.
        """
        owners = np.arange(len(self.areas))
        vertical = self.points[:, 0] == self.following[:, 0]
        x, number = self.points[vertical, 0], self.number[vertical]
        y_from, y_to = self.points[vertical, 1], self.following[vertical, 1]
        begins = y_to < y_from  # where runs of pixels begin
        lengths = (y_from - y_to)[begins]
        steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = (np.repeat(y_to[begins], lengths) + steps) * stride + np.repeat(x[begins], lengths)
        order = np.argsort(places)
        places, rings = places[order], np.repeat(number[begins], lengths)[order]
        ends = np.flatnonzero(~begins & (self.areas[number] < 0))
        ends = ends[np.argsort(x[ends], kind="stable")]
        holes, leftmost = np.unique(number[ends], return_index=True)
        by_x = np.argsort(leftmost)
        edges = ends[leftmost[by_x]]
        found = rings[np.searchsorted(places, y_from[edges] * stride + x[edges]) - 1]
        for hole, ring in zip(holes[by_x].tolist(), found.tolist(), strict=True):
            owners[hole] = owners[ring]
        return owners.tolist()
