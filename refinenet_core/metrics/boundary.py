"""Boundary IoU: how well contours agree (Cheng et al., "Boundary IoU", CVPR 2021).

The boundary region of a class is the set of its pixels that lie within d pixels of its contour,
d being 2 % of the image's diagonal, as in the paper's section 4 and its code: a pixel is in it if
the square of side 2 d + 1 around it holds a pixel that is not of the class or lies outside the
image. Boundary IoU is the IoU of the regions of target and prediction. Unlabelled pixels are of no
class in either map, so that contours along them agree.
"""

import math

import numpy as np
import numpy.typing as npt

from refinenet_core.metrics.confusion import Counts
from refinenet_core.metrics.scores import ClassCounts

BOUNDARY_WIDTH = 0.02
"""Width of a boundary region, as a share of the image's diagonal."""

_VOID = 255  # no class has this id: there are at most 255

Labels = npt.NDArray[np.uint8]


def boundary_counts(
    prediction: Labels, target: Labels, *, num_classes: int, ignore_index: int = 255
) -> ClassCounts:
    """Count the pixels of the boundary regions of an image's classes.

    Args:
        prediction: Class ids, shape (H, W), uint8.
        target: True class ids, shape (H, W), uint8; `ignore_index` marks unlabelled pixels.
        num_classes: Number of classes C, at most 255.
        ignore_index: Target value of unlabelled pixels.

    Returns:
        Pixels per class, shape (C,): in both regions, in the target's, in the prediction's. Their
        `iou` is the boundary IoU; those of several images add.

    Raises:
        ValueError: The shapes or types are others, or there are more than 255 classes.
    """
    if prediction.shape != target.shape or target.ndim != 2:
        raise ValueError(
            f"prediction has shape {prediction.shape}, target {target.shape}; pass (H, W) twice"
        )
    if not prediction.dtype == target.dtype == np.uint8 or num_classes > _VOID:
        raise ValueError(
            f"prediction is {prediction.dtype}, target {target.dtype}, of {num_classes} classes; "
            f"pass uint8 and at most {_VOID} classes"
        )
    ignored = target == ignore_index
    target = np.where(ignored, np.uint8(_VOID), target)
    prediction = np.where(ignored, np.uint8(_VOID), prediction)
    width = boundary_width(*target.shape)
    of_target = boundary_region(target, width)
    of_prediction = boundary_region(prediction, width)
    both = of_target & of_prediction & (target == prediction)
    return ClassCounts(
        _count(target[both], num_classes),
        _count(target[of_target], num_classes),
        _count(prediction[of_prediction], num_classes),
    )


def boundary_width(height: int, width: int) -> int:
    """Return the width d of the boundary regions of an image, in pixels, at least 1."""
    return max(1, round(BOUNDARY_WIDTH * math.hypot(height, width)))


def boundary_region(labels: Labels, width: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of a label map (H, W) are in the boundary region of their class.

    All classes at once: a square holds one class alone where its least and greatest ids agree.
    """
    region = np.ones(labels.shape, dtype=bool)
    side = 2 * width + 1
    if min(labels.shape) >= side:
        least, greatest = _windows(labels, side, np.minimum), _windows(labels, side, np.maximum)
        region[width:-width, width:-width] = least != greatest
    return region


def _windows(labels: Labels, side: int, extreme: np.ufunc) -> Labels:
    """Return the extreme of each square of a side within the map, (H - side + 1, W - side + 1)."""
    for _ in range(2):
        reached = 1  # each entry is the extreme of so many neighbours down the first axis
        while reached < side:
            step = min(reached, side - reached)
            labels = extreme(labels[:-step], labels[step:])
            reached += step
        labels = labels.T
    return labels


def _count(ids: Labels, num_classes: int) -> Counts:
    return np.bincount(ids, minlength=_VOID + 1)[:num_classes].astype(np.int64)
