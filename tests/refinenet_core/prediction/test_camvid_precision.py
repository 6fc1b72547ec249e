"""Reduced precision and large images: real pictures, trained weights. Heavy; prints figures."""

import sys
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from refinenet_core import (
    ConfusionMatrix,
    MultiScalePredictor,
    build_model,
    load_checkpoint,
    scores,
)

pytestmark = pytest.mark.slow

VOID = 11


@pytest.fixture(scope="module")
def model(shared):
    network = build_model("refinenet_lw_mobilenet_v2", 11)
    load_checkpoint(network, shared / "data/weights/refinenet_lw_mobilenet_v2-camvid11.pth")
    return network


def pictures(folder):
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("scales", "agreement"), [((1.0,), 0.985), ((0.4, 0.6, 0.8, 1.0, 1.2), 0.99)]
)
def test_bfloat16_gives_nearly_the_labels_and_the_score_of_float32(
    model, shared, scales, agreement
):
    images = pictures(shared / "data/camvid/val")
    targets = [
        np.asarray(Image.open(path))
        for path in sorted((shared / "data/camvid/valannot").glob("*.png"))
    ]
    confusions = {name: ConfusionMatrix(11, ignore_index=VOID) for name in ("float32", "bfloat16")}
    labels = {}
    for name, confusion in confusions.items():
        predictor = MultiScalePredictor(model, scales, precision=name, confidence="mean")
        labels[name] = np.stack([each.labels for each in predictor.predict(images)])
        for prediction, target in zip(labels[name], targets, strict=True):
            confusion.update(prediction, target)

    equal = float((labels["float32"] == labels["bfloat16"]).mean())
    mious = {name: scores(confusion.counts).miou for name, confusion in confusions.items()}
    sys.stdout.write(f"\n{len(scales)} scales: equal labels {equal:.4%}, mIoU {mious}\n")
    assert len(images) == 101
    assert equal >= agreement
    assert abs(mious["float32"] - mious["bfloat16"]) <= 0.002


@pytest.mark.timeout(1800)
def test_an_image_of_108_megapixels_is_predicted_within_2_gb(model, shared):
    height, width = 9000, 12000
    image = np.empty((height, width, 3), np.uint8)
    tiles = [
        np.asarray(Image.fromarray(each).resize((1920, 1440), Image.Resampling.BICUBIC))
        for each in pictures(shared / "data/camvid/val")[::4]
    ]
    for number, (top, left) in enumerate(
        (top, left) for top in range(0, height, 1440) for left in range(0, width, 1920)
    ):
        part = tiles[number % len(tiles)]
        image[top : top + 1440, left : left + 1920] = part[: height - top, : width - left]
    predictor = MultiScalePredictor(model, confidence="mean")

    before, peak_bytes, stop = psutil.Process().memory_info().rss, [0], threading.Event()

    def watch():
        while not stop.wait(0.05):
            peak_bytes[0] = max(peak_bytes[0], psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    [prediction] = predictor.predict([image])
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()

    sys.stdout.write(f"\n{seconds:.0f} s, {(peak_bytes[0] - before) / 1e6:.0f} MB more\n")
    assert prediction.labels.shape == (height, width)
    assert not prediction.shrunk
    assert peak_bytes[0] - before <= 2e9
