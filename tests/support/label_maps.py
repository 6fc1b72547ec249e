"""Pairs of label maps on which evaluators have been known to disagree."""

import numpy as np

VOID = 255


def random_pair(seed, num_classes, size, *, void=0.2):
    """Return prediction and target with some pixels unlabelled."""
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, num_classes, size, dtype=np.uint8)
    target = rng.integers(0, num_classes, size, dtype=np.uint8)
    target[rng.random(size) < void] = VOID
    return prediction, target


def _filled(value, size=(6, 7)):
    return np.full(size, value, np.uint8)


def _absent_classes():
    prediction, target = random_pair(0, 3, (9, 8))
    target[target == 2] = 0
    return prediction, target, 5


def _all_255_classes():
    values = np.arange(255, dtype=np.uint8).repeat(3).reshape(17, 45)
    return np.roll(values, 1, axis=1), values, 255


def _half_right():
    prediction, target = _filled(1), _filled(1)
    prediction[:3] = 0
    return prediction, target, 2


ADVERSARIAL = {
    "absent classes": _absent_classes(),
    "only void": (_filled(1), _filled(VOID), 3),
    "one pixel, right": (_filled(1, (1, 1)), _filled(1, (1, 1)), 3),
    "one pixel, wrong": (_filled(2, (1, 1)), _filled(1, (1, 1)), 3),
    "255 classes": _all_255_classes(),
    "one class": (_filled(0), _filled(0), 1),
    "never predicted": (_filled(0), _filled(1), 2),
    "half right": _half_right(),
}
"""Prediction, target and number of classes by what is odd about them."""
