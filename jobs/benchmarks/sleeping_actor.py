"""A stand-in for the segmenting stage that sleeps in place of predicting; for benchmarks alone."""

import time
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline.stages.part_maker import PartMaker
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.sample import KnownDataset, LabelMap, Sample


class Sleeper(PartMaker):
    """Make parts as any `PartMaker` does, but label every pixel 0 after a while of sleep.

    So a machine of few cores carries as many actors as a cluster has GPUs. No job asks for it: it
    is handed to an `Execution`.

    Attributes:
        image_s: Seconds of sleep for each image.
    """

    image_s: ClassVar[float] = 0.0

    def label(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> list[tuple[Sample, LabelMap]]:
        """Decode images, and sleep."""
        start = time.perf_counter()
        decoded = self.decode_images(window, dataset)
        decoded_at = time.perf_counter()
        time.sleep(self.image_s * len(decoded))
        seconds.decode_s += decoded_at - start
        seconds.predict_s += time.perf_counter() - decoded_at
        return [
            (sample, LabelMap(np.zeros(pixels.shape[:2], dtype=np.uint8)))
            for sample, pixels in decoded
        ]


def sleeper_of(image_s: float) -> type[Sleeper]:
    """Return a part maker that sleeps for so many seconds an image."""
    return type("SleeperOfSeconds", (Sleeper,), {"image_s": image_s})
