"""A calibration: how fast the job's own part maker is on this machine, on some of its images."""

import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final

from pipeline.errors import PlanError
from pipeline.estimate.cost import Speed, Work
from pipeline.estimate.size_sample import SampledImage, SizeSample
from pipeline.estimate.uncertain_amount import ratio
from pipeline.output.part_name import Part
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.part_maker import PartMaker

CALIBRATING_IMAGES: Final = 64  # kept as they are, of each dataset
_LEAST_ROUNDS: Final = 3
_MOST_ROUNDS: Final = 1000
# On a GPU a round is as large as a part, so that batches fill, and each size is seen often enough
# beforehand to be captured; on a CPU a few images are enough, one where they take seconds.
_WARMING_ROUNDS: Final = {"cpu": 1, "cuda": 5}
_ROUND_IMAGES: Final = {"cpu": 4, "cuda": 256}
_SLOW: Final = 8  # first images of a calibration, at the pace of the very first one


def calibrate(
    make: PartMaker,
    dataset: DatasetSpec,
    sample: SizeSample,
    *,
    job: Job,
    work: Work,
    limit_s: float,
) -> Speed:
    """Measure a part maker on images that were kept, with decoding, encoding and all.

    Args:
        make: The job's, with the threads of an actor.
        dataset: The images'.
        sample: Holds them.
        job: The job.
        work: What an image is for the network.
        limit_s: When to stop, once there have been some rounds.

    Raises:
        PlanError: There are no images to measure on.
    """
    images = [image for image in sample.sampled if image.encoded is not None]
    if not images:
        raise PlanError(
            dataset.name,
            f"none of {len(sample.sampled)} images that were looked at can be segmented, so that "
            "there is nothing to calibrate on",
        )
    start = time.perf_counter()
    size = min(_ROUND_IMAGES[job.device], job.spec.part_images)
    endless = cycle(images)
    for _ in range(_WARMING_ROUNDS[job.device]):
        one = list(islice(endless, size if job.device == "cuda" else 1))
        _seconds(make, dataset, one)
    if job.device == "cpu" and (time.perf_counter() - start) * _SLOW > limit_s:
        size = 1
    rounds: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(rounds) < _MOST_ROUNDS:
        some = list(islice(endless, size))
        pixels = sum(work(image.height, image.width) for image in some)
        rounds.append((_seconds(make, dataset, some), float(pixels)))
        if len(rounds) >= _LEAST_ROUNDS and time.perf_counter() - start > limit_s:
            break
    return Speed(ratio(rounds), f"calibrated here, on {job.device}", size * len(rounds))


def _seconds(make: PartMaker, dataset: DatasetSpec, images: Sequence[SampledImage]) -> float:
    """Make a part of some images, as an actor does; return how long that takes."""
    encoded = [image.encoded for image in images if image.encoded is not None]
    part = Part(dataset.name, "calibration", 0, len(encoded), "end")
    table = EncodedPart(part, encoded, read_s=0.0).to_table()
    start = time.perf_counter()
    make(table)
    return time.perf_counter() - start
