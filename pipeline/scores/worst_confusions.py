"""Confusions: which classes are taken for which others, the worst first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refinenet_core.metrics.confusion import Counts

OUTSIDE = "no class"


@dataclass(frozen=True)
class Confusion:
    """Pixels of one class that were predicted as another.

    Attributes:
        target: The class that they are.
        prediction: The class that they were taken for; `OUTSIDE` for none.
        pixels: How many they are.
        share: Their share of the class's labelled pixels.
    """

    target: str
    prediction: str
    pixels: int
    share: float


def worst_confusions(counts: Counts, classes: Sequence[str], *, most: int) -> list[Confusion]:
    """Return the confusions of the largest shares of their target classes.

    Args:
        counts: Shape (C, C + 1); rows targets, columns predictions, the last for none.
        classes: Names of the classes.
        most: How many at most.
    """
    totals = counts.sum(axis=1, keepdims=True)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    shares = wrong / np.maximum(totals, 1)
    order = np.lexsort((-wrong.ravel(), -shares.ravel()))[:most]
    names = [*classes, OUTSIDE]
    return [
        Confusion(names[target], names[prediction], int(wrong[target, prediction]), float(share))
        for target, prediction in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if (share := shares[target, prediction]) > 0
    ]


def largest_error(cells: Sequence[dict[str, int]], classes: Sequence[str]) -> Confusion | None:
    """Return an image's confusion of the most pixels, its share being of all labelled ones.

    Args:
        cells: The `confusion` of its row.
        classes: Names of the classes.
    """
    wrong = [cell for cell in cells if cell["target"] != cell["prediction"]]
    if not wrong:
        return None
    worst = max(wrong, key=lambda cell: cell["pixels"])
    names = [*classes, OUTSIDE]  # -1 is the last
    share = worst["pixels"] / sum(cell["pixels"] for cell in cells)
    return Confusion(names[worst["target"]], names[worst["prediction"]], worst["pixels"], share)
