"""The benchmark: both ways do the same work, and the record says what was measured."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from refinenet_core import MultiScalePredictor, build_model, run_benchmark
from refinenet_core.benchmark import published_loop


def test_the_published_loop_gives_the_predictors_labels():
    torch.manual_seed(0)
    model = build_model("refinenet_lw_mobilenet_v2", 5).eval()
    with torch.no_grad():
        model.head.weight.mul_(20)
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    scales = (0.5, 1.0, 1.3)

    labels = published_loop(model, image, scales)

    [prediction] = MultiScalePredictor(model, scales).predict([image])
    assert len(np.unique(labels)) > 1
    assert (labels == prediction.labels).mean() > 0.999


def test_a_record_is_consistent_and_strict_json():
    record = run_benchmark(
        "refinenet_lw_mobilenet_v2",
        num_classes=3,
        height=48,
        width=64,
        scales=(0.5, 1.0),
        images=2,
        rounds=3,
    )

    content = json.loads(json.dumps(asdict(record), allow_nan=False))
    assert content["setting"]["scales"] == [0.5, 1.0]
    assert content["hardware"]["torch"] == torch.__version__
    assert len(content["ratios"]) == 3
    assert sorted(content["ratios"])[1] == content["ratio"] > 0
    assert content["megapixels_per_s"] == pytest.approx(content["images_per_s"] * 48 * 64 / 1e6)
    assert content["agreement"] > 0.99
    assert 0 < content["tflops"] < content["matrix_tflops"]
    stages = content["stage_s"]
    assert {"copies", "normalise", "resize", "network", "softmax", "fusion"} <= set(stages)
    assert stages["network.encoder"] + stages["network.decoder"] < stages["network"]


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="unknown model 'x'; known are"):
        run_benchmark("x")
