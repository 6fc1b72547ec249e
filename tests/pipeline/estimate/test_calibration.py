"""Calibration: the speed of a part maker on images that were kept."""

import io

import numpy as np
import pytest
from PIL import Image

from jobs.benchmarks.sleeping_actor import sleeper_of
from pipeline.datasets.encoded_image import EncodedImage
from pipeline.errors import PlanError
from pipeline.estimate.calibration import calibrate
from pipeline.estimate.size_sample import Draw, SampledImage, SizeSample
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.storage.storage import Storage

IMAGE_S = 0.03


@pytest.fixture
def job():
    """A job whose actors sleep; a part maker sets Pillow's limit for its process."""
    before = Image.MAX_IMAGE_PIXELS
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"checkpoint": "none.pth"},
            "datasets": [{"name": "d", "images": "i/*.png", "classes": ["a", "b"]}],
            "output": "out",
        }
    )
    yield Job(spec, None, 0, {})
    Image.MAX_IMAGE_PIXELS = before


def sample(*, kept):
    """Return a sample of two images of 10 by 20 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(buffer, "PNG")
    encoded = EncodedImage(0, "k", [], "u", None, "ok", None, buffer.getvalue(), None)
    images = [SampledImage(10, 20, encoded if kept else None) for _ in range(2)]
    return SizeSample([Draw([image], 1, 0) for image in images], 2, True, 2, 1)


def measured(job, found, limit_s):
    make = sleeper_of(IMAGE_S)(job, Storage(), threads=1)
    [dataset] = job.spec.datasets
    area = lambda height, width: height * width  # noqa: E731
    return calibrate(make, dataset, found, job=job, work=area, limit_s=limit_s)


def test_the_speed_is_that_of_the_part_maker_with_all_that_is_beside(job):
    speed = measured(job, sample(kept=True), 0.4)

    image_s = speed.pixel_s.value * 200
    assert IMAGE_S <= image_s < 30 * IMAGE_S  # the machine may be busy
    assert speed.measured_on == "calibrated here, on cpu"
    assert speed.images >= 3


def test_there_are_some_rounds_however_short_the_time(job):
    speed = measured(job, sample(kept=True), 0.0)

    assert speed.images == 3  # one an image, where images take longer than there is time
    assert speed.pixel_s.margin is not None


def test_without_images_there_is_nothing_to_measure(job):
    with pytest.raises(PlanError, match="none of 2 images that were looked at can be segmented"):
        measured(job, sample(kept=False), 0.1)
