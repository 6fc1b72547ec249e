"""Categories: groups of classes that a data set's own evaluation scores as one."""

from collections.abc import Mapping, Sequence

import numpy as np

from refinenet_core.labels.class_tables import CITYSCAPES
from refinenet_core.metrics.confusion import Counts

# The column `category` of the label table in cityscapesScripts, for the classes evaluated.
CITYSCAPES_CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}


def categories_of(classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the class ids of each category, by name; none for classes without categories.

    Only Cityscapes has them: the classes must be its 19 by name, in order.
    """
    if tuple(classes) != tuple(CITYSCAPES):
        return {}
    ids = {name: class_id for class_id, name in enumerate(classes)}
    return {
        category: tuple(ids[name] for name in names)
        for category, names in CITYSCAPES_CATEGORIES.items()
    }


def merge_classes(counts: Counts, categories: Mapping[str, Sequence[int]]) -> Counts:
    """Return the confusion matrix of categories.

    Args:
        counts: Counts of classes, shape (C, C + 1), int64, rows targets.
        categories: Class ids of each category, every class in one.

    Returns:
        Counts, shape (K, K + 1), int64, in the categories' order; a pixel taken for another class
        of its own category is a hit, as in cityscapesScripts.
    """
    num_classes = counts.shape[0]
    groups = [*map(list, categories.values()), [num_classes]]
    columns = np.stack([counts[:, group].sum(axis=1) for group in groups], axis=1)
    return np.stack([columns[group].sum(axis=0) for group in groups[:-1]])
