"""What counting costs beside the network: seconds of CPU, which other work does not change."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from camvid import CHECKPOINT, IMAGES, TARGETS
from pipeline.output.mask_table import class_pixels, sparse_boundary, sparse_confusion
from refinenet_core import (
    MultiScalePredictor,
    boundary_counts,
    build_model,
    confusion_matrix,
    load_checkpoint,
)

CLASSES, VOID, REPEATS = 11, 11, 3


@pytest.fixture
def one_thread():
    """PyTorch on one thread, so that its seconds of CPU are its own work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def count(prediction, target):
    """Count as the segmenter does."""
    class_pixels(prediction)
    sparse_confusion(confusion_matrix(prediction, target, num_classes=CLASSES, ignore_index=VOID))


def count_boundary(prediction, target):
    sparse_boundary(boundary_counts(prediction, target, num_classes=CLASSES, ignore_index=VOID))


def cpu_seconds(work):
    """The least of some repeats."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_counting_costs_less_than_three_percent_of_a_single_scale_run(shared):
    names = sorted(path.name for path in (shared / IMAGES).iterdir())[:8]
    images = [np.asarray(Image.open(shared / IMAGES / name).convert("RGB")) for name in names]
    targets = [np.asarray(Image.open(shared / TARGETS / name)) for name in names]
    network = build_model("refinenet_lw_mobilenet_v2", CLASSES)
    load_checkpoint(network, shared / "data/weights" / CHECKPOINT)
    predictor = MultiScalePredictor(network, (1.0,), confidence="mean")
    pairs = [
        (prediction.labels, target)
        for prediction, target in zip(predictor.predict(images), targets, strict=True)
    ]

    network_s = cpu_seconds(lambda: predictor.predict(images))
    counting_s = cpu_seconds(lambda: [count(*pair) for pair in pairs])
    boundary_s = cpu_seconds(lambda: [count_boundary(*pair) for pair in pairs])

    figures = {"network": network_s, "counting": counting_s, "boundary": boundary_s}
    print({name: f"{s / len(names) * 1e3:.2f} ms an image" for name, s in figures.items()})  # noqa: T201 - the figures
    assert counting_s < 0.03 * network_s
