"""What the pipeline costs beside a plain loop over the same images, in one run."""

import io
import json
import time

import numpy as np
import pytest
import ray
import torch
from PIL import Image
from ray._private.internal_api import get_memory_info_reply, get_state_from_address

from camvid import CHECKPOINT, IMAGES, model, unscored_dataset
from pipeline import JobSpec, run
from pipeline.execution.observer import Silent
from refinenet_core import MultiScalePredictor, build_model, label_set, load_checkpoint
from refinenet_core.labels.palettes import png_palette

pytestmark = pytest.mark.ray

FIRST = 50  # images that are not counted: the pipeline's parts arrive one by one only then
THREADS = 2


class Stopwatch(Silent):
    """Notes when images were committed."""

    def __init__(self):
        self.arrivals = []

    def committed(self, receipt):
        self.arrivals.append((time.perf_counter(), receipt.part.images))

    @property
    def images_per_s(self):
        """Images per second, from the first part that ends behind `FIRST` images to the last."""
        done = np.cumsum([images for _, images in self.arrivals])
        begin = int(np.argmax(done >= FIRST))
        seconds = self.arrivals[-1][0] - self.arrivals[begin][0]
        return float(done[-1] - done[begin]) / seconds


def loop_images_per_s(files, checkpoint, scales):
    """Decode, predict with the same predictor, encode the mask: one image after the other."""
    torch.set_num_threads(THREADS)
    network = build_model("refinenet_lw_mobilenet_v2", 11)
    load_checkpoint(network, checkpoint)
    predictor = MultiScalePredictor(network, scales)
    palette = png_palette(label_set("camvid").colours)
    for position, file in enumerate(files):
        if position == FIRST:
            start = time.perf_counter()
        pixels = np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))
        [prediction] = predictor.predict([pixels])
        mask = Image.fromarray(prediction.labels)
        mask.putpalette(palette)
        mask.save(io.BytesIO(), format="PNG", compress_level=4)
    return (len(files) - FIRST) / (time.perf_counter() - start)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("scales", "least"), [([1.0], 0.85), ([0.4, 0.6, 0.8, 1.0, 1.2], 0.95)], ids=["one", "five"]
)
def test_the_pipeline_is_nearly_as_fast_as_a_plain_loop(tmp_path, shared, scales, least):
    files = sorted((shared / IMAGES).iterdir())
    spec = {
        "name": "cost",
        "model": model(str(shared / "data/weights")),
        "inference": {"scales": scales},
        "datasets": [unscored_dataset(shared)],
        "output": str(tmp_path / "output"),
        "part_images": 8,
        "resources": {"threads_per_actor": THREADS, "executor": "ray"},
    }
    checkpoint = shared / "data/weights" / CHECKPOINT
    stopwatch = Stopwatch()

    before = loop_images_per_s(files, checkpoint, scales)
    report = run(JobSpec.from_mapping(spec), stopwatch)
    after = loop_images_per_s(files, checkpoint, scales)

    ratio = stopwatch.images_per_s / ((before + after) / 2)
    figures = {
        "scales": len(scales),
        "loop_images_per_s": [round(before, 2), round(after, 2)],
        "pipeline_images_per_s": round(stopwatch.images_per_s, 2),
        "ratio": round(ratio, 3),
        "spilled_bytes": spilled_bytes(),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures are the point
    assert report.exit_code == 0
    assert figures["spilled_bytes"] == 0
    assert ratio >= least


def spilled_bytes():
    """Return the bytes that the object store of this process's Ray has written to disk."""
    reply = get_memory_info_reply(get_state_from_address(ray.get_runtime_context().gcs_address))
    return reply.store_stats.spilled_bytes_total
