"""The end of a row: its mask is encoded and, where there is a target, its confusion counted."""

from pipeline.images.class_ids import ClassIds
from pipeline.output.mask_png import encode_mask
from pipeline.output.mask_table import MaskRow, class_pixels, sparse_boundary, sparse_confusion
from pipeline.stages.sample import KnownDataset, LabelMap, Sample
from refinenet_core.metrics.boundary import boundary_counts
from refinenet_core.metrics.confusion import confusion_matrix


def finish_row(sample: Sample, found: LabelMap, dataset: KnownDataset) -> None:
    """Encode the mask and, where there is a target, count the confusion."""
    row, seen, num_classes = sample.row, found.seen, len(dataset.labels.classes)
    row.mask = encode_mask(found.labels, dataset.palette)
    pixels = class_pixels(found.labels[seen])
    row.class_pixels = [each for each in pixels if each["class"] < num_classes]
    if not dataset.has_targets or row.status != "ok":
        return
    if sample.target is None:
        row.fail("missing_target", "there is no target for this image")
        return
    counted = _count(row, found.labels[seen], sample.target[seen], dataset)
    row.ignored_pixels = sample.target.size - counted


def _count(row: MaskRow, prediction: ClassIds, target: ClassIds, dataset: KnownDataset) -> int:
    """Count an image's labelled pixels, and its boundary regions if asked for; return how many."""
    classes = {
        "num_classes": len(dataset.labels.classes),
        "ignore_index": dataset.labels.ignore_index,
    }
    counts = confusion_matrix(prediction, target, **classes)
    row.confusion = sparse_confusion(counts)
    if dataset.boundary_iou:
        row.boundary = sparse_boundary(boundary_counts(prediction, target, **classes))
    return int(counts.sum())
