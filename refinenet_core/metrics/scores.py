"""Scores that follow from exact counts of pixels, under each of the rules in use for the mIoU."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from refinenet_core.metrics.confusion import Counts

Floats = npt.NDArray[np.float64]

Rule = Literal[
    "union_present", "gt_present", "voc_strict", "absent_one", "absent_zero", "image_mean"
]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)


@dataclass(frozen=True)
class ClassCounts:
    """The pixels that IoU, accuracy, precision and F1 follow from, per class; two may be added.

    Attributes:
        hits: Pixels of the class that are predicted as it, shape (..., C), int64.
        target_pixels: Pixels of the class by the target, likewise.
        predicted_pixels: Pixels predicted as the class, where there is a label, likewise.
    """

    hits: Counts
    target_pixels: Counts
    predicted_pixels: Counts

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return those of confusion matrices, shape (..., C, C) or (..., C, C + 1)."""
        counts = counts.astype(np.int64)
        num_classes = counts.shape[-2]
        return cls(
            np.diagonal(counts, axis1=-2, axis2=-1).copy(),
            counts.sum(axis=-1),
            counts[..., :num_classes].sum(axis=-2),
        )

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        """Return the counts of both."""
        return ClassCounts(
            self.hits + other.hits,
            self.target_pixels + other.target_pixels,
            self.predicted_pixels + other.predicted_pixels,
        )

    @property
    def union(self) -> Counts:
        """Pixels that are of the class by target or prediction."""
        return self.target_pixels + self.predicted_pixels - self.hits

    @property
    def iou(self) -> Floats:
        """Intersection over union; NaN where the union is empty."""
        return _divide(self.hits, self.union)

    @property
    def accuracy(self) -> Floats:
        """Share of the target's pixels that were found (recall); NaN where there are none."""
        return _divide(self.hits, self.target_pixels)

    @property
    def precision(self) -> Floats:
        """Share of the predicted pixels that are right; NaN where there are none."""
        return _divide(self.hits, self.predicted_pixels)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of accuracy and precision (Dice); NaN where the union is empty."""
        return _divide(2 * self.hits, self.target_pixels + self.predicted_pixels)


@dataclass(frozen=True)
class RuleScore:
    """The mIoU under one rule.

    Attributes:
        miou: Mean intersection over union, 0 to 1; NaN where the rule leaves it undefined.
        num_averaged: Number of classes averaged; of images, for "image_mean".
        absent: Ids of the classes that the rule counts as absent.
    """

    miou: float
    num_averaged: int
    absent: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix; a score that is undefined is NaN.

    Attributes:
        rule: How `miou` treats classes that are absent.
        miou: Mean intersection over union, 0 to 1.
        rules: The mIoU under each rule; "image_mean" only where the images' own are known.
        classes: Pixels per class, shape (C,).
        iou: Intersection over union per class, shape (C,); NaN where the union is empty.
        class_accuracy: Share of each class's target pixels that were found, shape (C,).
        precision: Share of each class's predicted pixels that are right, shape (C,).
        f1: Harmonic mean of `class_accuracy` and `precision`, shape (C,).
        pixel_accuracy: Share of all counted pixels that are right (aAcc).
        mean_accuracy: Mean of `class_accuracy` over the classes present in the target (mAcc).
        frequency_weighted_iou: IoU weighted by each class's share of the target pixels.
    """

    rule: Rule
    miou: float
    rules: Mapping[Rule, RuleScore]
    classes: ClassCounts
    iou: Floats
    class_accuracy: Floats
    precision: Floats
    f1: Floats
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float


def scores(
    counts: Counts, rule: Rule = "union_present", *, image_mious: Floats | None = None
) -> Scores:
    """Compute scores from a confusion matrix.

    Means over classes are summed in the order of class ids, so that they can be repeated to the
    last bit elsewhere.

    Args:
        counts: Integer counts (C, C) or (C, C + 1), rows targets, or a stack of one matrix per
            image, (N, C, C + 1).
        rule: Which classes `miou` is the mean of. "union_present": those whose union is not
            empty. "gt_present": those present in the target. "voc_strict": all, undefined if
            one is absent. "absent_one", "absent_zero": all, an absent one scoring 1 or 0.
            "image_mean": the mean over images of each image's own "union_present", which needs
            a stack or `image_mious`.
        image_mious: Each image's own "union_present", shape (N,), where `counts` is their sum;
            NaN for an image without one.

    Returns:
        The scores; those of a stack but for "image_mean" are of the summed counts.

    Raises:
        ValueError: The rule is unknown, or the shape does not fit it.
    """
    _check(counts, rule)
    if counts.ndim == 3:
        image_mious = mean_iou(ClassCounts.of(counts), "union_present")
        counts = counts.sum(axis=0, dtype=np.int64)
    if rule == "image_mean" and image_mious is None:
        raise ValueError('rule "image_mean" needs a stack of matrices, 3-D, or image_mious')
    classes = ClassCounts.of(counts)
    rules: dict[Rule, RuleScore] = {
        each: _rule_score(classes, each) for each in RULES if each != "image_mean"
    }
    if image_mious is not None:
        rules["image_mean"] = _image_mean(classes, image_mious)
    weights, total = classes.target_pixels, int(classes.target_pixels.sum())
    return Scores(
        rule=rule,
        miou=rules[rule].miou,
        rules=rules,
        classes=classes,
        iou=classes.iou,
        class_accuracy=classes.accuracy,
        precision=classes.precision,
        f1=classes.f1,
        pixel_accuracy=int(classes.hits.sum()) / total if total else math.nan,
        mean_accuracy=float(_mean(classes.accuracy, weights > 0)),
        frequency_weighted_iou=(
            float(_sum(np.where(weights > 0, classes.iou * weights, 0.0)) / total)
            if total
            else math.nan
        ),
    )


def mean_iou(counts: ClassCounts, rule: Rule) -> Floats:
    """Return the mIoU of each of many counts under a rule over classes.

    Args:
        counts: Pixels per class, shape (..., C).
        rule: As for `scores`, but not "image_mean".

    Returns:
        mIoU, shape (...); NaN where it is undefined.

    Raises:
        ValueError: The rule is "image_mean", which is no mean over classes.
    """
    if rule == "image_mean":
        raise ValueError('rule "image_mean" averages images, not the classes of a sum')
    present = _present(counts, rule)
    match rule:
        case "union_present" | "gt_present":
            return _mean(counts.iou, present)
        case "voc_strict":
            absent = math.nan
        case "absent_one":
            absent = 1.0
        case "absent_zero":
            absent = 0.0
    return _mean(np.where(present, counts.iou, absent), np.ones_like(present))


def _check(counts: Counts, rule: Rule) -> None:
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(RULES)}")
    if counts.ndim not in (2, 3) or counts.shape[-1] - counts.shape[-2] not in (0, 1):
        raise ValueError(
            f"counts have shape {counts.shape}; pass (C, C + 1), or a stack (N, C, C + 1)"
        )
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"counts have dtype {counts.dtype}; pass integers, floats lose pixels")


def _rule_score(counts: ClassCounts, rule: Rule) -> RuleScore:
    present = _present(counts, rule)
    all_classes = rule in ("voc_strict", "absent_one", "absent_zero")
    averaged = present.size if all_classes else int(present.sum())
    absent = tuple(int(class_id) for class_id in np.flatnonzero(~present))
    return RuleScore(float(mean_iou(counts, rule)), averaged, absent)


def _image_mean(counts: ClassCounts, image_mious: Floats) -> RuleScore:
    defined = image_mious[~np.isnan(image_mious)]
    # Exact, so that the order of the images changes no bit.
    miou = math.fsum(defined) / defined.size if defined.size else math.nan
    absent = tuple(int(class_id) for class_id in np.flatnonzero(counts.union == 0))
    return RuleScore(miou, int(defined.size), absent)


def _present(counts: ClassCounts, rule: Rule) -> npt.NDArray[np.bool_]:
    """Say which classes a rule counts as present, shape (..., C)."""
    return (counts.target_pixels if rule == "gt_present" else counts.union) > 0


def _divide(numerator: Counts, denominator: Counts) -> Floats:
    """Divide counts; 0 / 0 is NaN, without a warning."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean(values: Floats, kept: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean of the values kept along the last axis, NaN if none is."""
    number = kept.sum(axis=-1)
    mean = np.full(number.shape, np.nan)
    np.divide(_sum(np.where(kept, values, 0.0)), number, out=mean, where=number > 0)
    return mean


def _sum(values: Floats) -> Floats:
    """Sum along the last axis one after another; `np.sum` would take them in another order."""
    total: Floats = np.cumsum(values, axis=-1)[..., -1]
    return total
