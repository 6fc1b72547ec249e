"""Confusion matrices and the scores that follow from them, exact at any size of data set."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Rule = Literal[
    "union_present", "gt_present", "voc_strict", "absent_one", "absent_zero", "image_mean"
]


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix; a score that is undefined is NaN.

    Attributes:
        rule: How `miou` treats classes that are absent.
        miou: Mean intersection over union, 0 to 1.
        iou: Intersection over union per class, shape (C,); NaN where the union is empty.
        class_accuracy: Share of each class's target pixels that were found, shape (C,).
        pixel_accuracy: Share of all counted pixels that are right (aAcc).
        mean_accuracy: Mean of `class_accuracy` over the classes present in the target (mAcc).
        frequency_weighted_iou: IoU weighted by each class's share of the target pixels.
    """

    rule: Rule
    miou: float
    iou: Floats
    class_accuracy: Floats
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float


class ConfusionMatrix:
    """Counts of pixels by (target class, predicted class), to be updated and merged.

    Args:
        num_classes: Number of classes, C.
        ignore_index: Target value left out of the count.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: Counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)

    def update(self, prediction: Labels, target: Labels) -> None:
        """Add an image's pixels; see `confusion_matrix` for arguments and errors."""
        self.counts += confusion_matrix(
            prediction,
            target,
            num_classes=self.num_classes,
            ignore_index=self.ignore_index,
        )

    def __iadd__(self, other: Self) -> Self:
        """Merge another matrix of the same classes; the order of merging changes nothing."""
        if self.counts.shape != other.counts.shape or self.ignore_index != other.ignore_index:
            raise ValueError(
                f"matrices of {self.num_classes} and {other.num_classes} classes, ignore_index "
                f"{self.ignore_index} and {other.ignore_index}, cannot be merged"
            )
        self.counts += other.counts
        return self


def confusion_matrix(
    prediction: Labels, target: Labels, *, num_classes: int, ignore_index: int = 255
) -> Counts:
    """Count pixels by (target class, predicted class).

    Args:
        prediction: Class ids, shape (H, W); one outside the classes is counted as a miss.
        target: True class ids, shape (H, W); `ignore_index` marks unlabelled pixels.
        num_classes: Number of classes, C.
        ignore_index: Target value left out of the count.

    Returns:
        Counts, shape (C, C + 1), int64; rows are targets, columns predictions, the last one for
        predictions outside the classes. Matrices of two images add.

    Raises:
        ValueError: The shapes differ, or a counted target is not in 0 … `num_classes` - 1.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}")
    counted = target != ignore_index
    targets = target[counted].astype(np.int64)
    predictions = prediction[counted].astype(np.int64)
    if targets.size and (targets.min() < 0 or targets.max() >= num_classes):
        values = np.unique(targets[(targets < 0) | (targets >= num_classes)])
        raise ValueError(
            f"target holds {values[:10].tolist()}, outside the classes 0 to {num_classes - 1} "
            f"and not ignore_index {ignore_index}"
        )
    outside = (predictions < 0) | (predictions >= num_classes)
    predictions[outside] = num_classes
    cells = targets * (num_classes + 1) + predictions
    counts = np.bincount(cells, minlength=num_classes * (num_classes + 1))
    return counts.astype(np.int64).reshape(num_classes, num_classes + 1)


def scores(counts: Counts, rule: Rule = "union_present") -> Scores:
    """Compute scores from a confusion matrix.

    Args:
        counts: Integer counts (C, C) or (C, C + 1), rows targets; for "image_mean" a stack
            (N, C, C + 1) of one matrix per image.
        rule: Which classes `miou` is the mean of. "union_present": those whose union is not
            empty. "gt_present": those present in the target. "voc_strict": all, undefined if
            one is absent. "absent_one", "absent_zero": all, an absent one scoring 1 or 0.
            "image_mean": the mean over images of each image's own "union_present".

    Returns:
        The scores; for "image_mean" all but `miou` are those of the images' summed counts.

    Raises:
        ValueError: The rule is unknown, or the shape does not fit it.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(get_args(Rule))}")
    dimensions = 3 if rule == "image_mean" else 2
    if counts.ndim != dimensions or counts.shape[-1] - counts.shape[-2] not in (0, 1):
        raise ValueError(f"counts have shape {counts.shape}; rule {rule!r} needs {dimensions}-D")
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"counts have dtype {counts.dtype}; pass integers, floats lose pixels")
    if rule == "image_mean":
        total = counts.sum(axis=0, dtype=np.int64)
        per_image = [scores(image, "union_present").miou for image in counts]
        return _with_miou(total, rule, _mean(np.array(per_image)))
    return _with_miou(counts.astype(np.int64), rule, _miou(counts.astype(np.int64), rule))


def _with_miou(counts: Counts, rule: Rule, miou: float) -> Scores:
    hits, targets, iou = _hits_targets_iou(counts)
    class_accuracy = _divide(hits, targets)
    total = targets.sum()
    return Scores(
        rule=rule,
        miou=miou,
        iou=iou,
        class_accuracy=class_accuracy,
        pixel_accuracy=float(hits.sum() / total) if total else float("nan"),
        mean_accuracy=_mean(class_accuracy),
        frequency_weighted_iou=float(np.nansum(iou * targets) / total) if total else float("nan"),
    )


def _miou(counts: Counts, rule: Rule) -> float:
    _, targets, iou = _hits_targets_iou(counts)
    match rule:
        case "gt_present":
            return _mean(iou[targets > 0])
        case "voc_strict":
            return float(iou.mean())
        case "absent_one":
            return float(np.nan_to_num(iou, nan=1.0).mean())
        case "absent_zero":
            return float(np.nan_to_num(iou, nan=0.0).mean())
        case _:
            return _mean(iou)


def _hits_targets_iou(counts: Counts) -> tuple[Counts, Counts, Floats]:
    """Return per class the right pixels, the target pixels and the IoU."""
    num_classes = counts.shape[0]
    hits = np.diagonal(counts).copy()
    targets = counts.sum(axis=1)
    predicted = counts[:, :num_classes].sum(axis=0)
    return hits, targets, _divide(hits, targets + predicted - hits)


def _divide(numerator: Counts, denominator: Counts) -> Floats:
    """Divide counts; 0 / 0 is NaN, without a warning."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean(values: Floats) -> float:
    """Return the mean of the defined values, NaN if none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
