"""A confidence interval for the mIoU over images, of any number of them.

The Poisson bootstrap (Hanley and MacGibbon, 2006; Chamandy et al., 2012): in each resample an image
counts as often as a draw from Poisson(1) says, which differs from drawing n of n images with
replacement only in that n itself varies. What is drawn are groups of images: an image belongs to
one of 4096 by the digest of its bytes, so that sums per group, of which any number of workers may
add up a share, are all that is kept; beyond some thousand images single draws would tell no more.
Images that are equal byte for byte are drawn together, wherever they lie.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from refinenet_core.metrics.confusion import Counts
from refinenet_core.metrics.scores import ClassCounts, Floats, Rule, mean_iou

Groups = npt.NDArray[np.int64]

NUM_GROUPS: Final = 4096
LEVEL: Final = 0.95
_ENDS: Final = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_FRACTION: Final = 1 << 32  # an image's own mIoU in whole units of 2^-32, so that sums are exact


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        level: The share of resamples between them.
        resamples: Number of resamples in which the mIoU is defined.
        seed: What the draws follow from.
    """

    low: float
    high: float
    level: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class PairedIntervals:
    """Confidence intervals of what a second run scores more than a first, on the same images.

    Attributes:
        miou_low: Lower end for the mIoU; NaN if it is undefined in each resample.
        miou_high: Upper end.
        iou_low: Lower ends for the IoU of each class, shape (C,); NaN likewise.
        iou_high: Upper ends, shape (C,).
        level: The share of resamples between them.
    """

    miou_low: float
    miou_high: float
    iou_low: Floats
    iou_high: Floats
    level: float


class GroupSums:
    """What the images of each group add up to, exactly; to be updated and merged in any order.

    Args:
        num_classes: Number of classes, C.
    """

    def __init__(self, num_classes: int) -> None:
        # Three counts per class; the images' own mIoU, in units of 2^-32; how many have one.
        self._sums: Counts = np.zeros((NUM_GROUPS, 3 * num_classes + 2), dtype=np.int64)

    def add(self, groups: Groups, counts: ClassCounts, image_mious: Floats) -> None:
        """Add images.

        Args:
            groups: The group of each, shape (N,).
            counts: Pixels per image and class, shape (N, C).
            image_mious: Each image's own mIoU, shape (N,); NaN where it has none.
        """
        defined = ~np.isnan(image_mious)
        units = np.rint(np.where(defined, image_mious, 0.0) * _FRACTION).astype(np.int64)
        parts = (counts.hits, counts.target_pixels, counts.predicted_pixels)
        values = np.column_stack([*parts, units, defined])
        places = groups[:, None] * values.shape[1] + np.arange(values.shape[1])
        np.add.at(self._sums.reshape(-1), places.ravel(), values.ravel())

    def __iadd__(self, other: Self) -> Self:
        """Merge the sums over other images."""
        self._sums += other._sums
        return self

    def interval(self, rule: Rule, *, resamples: int, seed: int) -> Interval | None:
        """Return the percentile interval of the mIoU.

        Args:
            rule: Rule of the mIoU.
            resamples: Number of resamples, R.
            seed: Gives other draws.

        Returns:
            The interval; None if fewer than two groups have labelled pixels, or if the mIoU is
            defined in no resample.
        """
        mious = _mious(self._resampled(resamples, seed), rule)
        mious = mious[~np.isnan(mious)]
        if self._sums.any(axis=1).sum() < 2 or not mious.size:
            return None
        low, high = np.quantile(mious, _ENDS)
        return Interval(float(low), float(high), LEVEL, mious.size, seed)

    def paired(self, second: Self, rule: Rule, *, resamples: int, seed: int) -> PairedIntervals:
        """Return the percentile intervals of what a second run scores more than this one.

        Both are of the same images, byte for byte, so that each resample draws the same ones of
        both: what makes an image hard for both runs is in no difference.

        Args:
            second: The sums of the other run.
            rule: Rule of the mIoU.
            resamples: Number of resamples, R.
            seed: Gives other draws.
        """
        before = self._resampled(resamples, seed)
        after = second._resampled(resamples, seed)
        mious = _mious(after, rule) - _mious(before, rule)
        mious = mious[~np.isnan(mious)]
        ious = _class_counts(after).iou - _class_counts(before).iou
        ends = np.full((2, ious.shape[1]), np.nan)
        defined = ~np.isnan(ious).all(axis=0)
        ends[:, defined] = np.nanquantile(ious[:, defined], _ENDS, axis=0)
        low, high = np.quantile(mious, _ENDS) if mious.size else (math.nan, math.nan)
        return PairedIntervals(float(low), float(high), ends[0], ends[1], LEVEL)

    def _resampled(self, resamples: int, seed: int) -> Counts:
        """Return the sums of each resample, shape (R, 3 C + 2)."""
        drawn = np.random.default_rng(seed).poisson(1.0, (NUM_GROUPS, resamples))
        filled = self._sums.any(axis=1)
        # Products of whole numbers: exact in float64 up to 2^53 pixels.
        sums = drawn[filled].T.astype(np.float64) @ self._sums[filled].astype(np.float64)
        return sums.astype(np.int64)


def _mious(sums: Counts, rule: Rule) -> Floats:
    """Return the mIoU of each resample's sums, shape (R, 3 C + 2)."""
    if rule != "image_mean":
        return mean_iou(_class_counts(sums), rule)
    units, images = sums[:, -2:].T
    mious = np.full(images.shape, np.nan)
    np.divide(units / _FRACTION, images, out=mious, where=images > 0)
    return mious


def _class_counts(sums: Counts) -> ClassCounts:
    return ClassCounts(*np.split(sums[:, :-2], 3, axis=1))
