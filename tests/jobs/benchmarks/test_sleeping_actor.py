"""Actors that sleep in place of predicting: their rows are real, their time is as asked for."""

import io

import numpy as np
import pytest
from PIL import Image

from jobs.benchmarks.sleeping_actor import Sleeper, sleeper_of
from pipeline.datasets.encoded_image import EncodedImage
from pipeline.output.part_name import Part
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.receipt import StageSeconds
from pipeline.storage.storage import Storage


@pytest.fixture(autouse=True)
def _pillows_limit():
    """A part maker sets Pillow's limit for its process."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


def made(image_s):
    """Make a part of three images, one of them broken; return its rows and seconds."""
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"checkpoint": "none.pth"},
            "datasets": [{"name": "d", "images": "i/*.png", "classes": ["a", "b"]}],
            "output": "out",
        }
    )
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(buffer, "PNG")
    images = [
        EncodedImage(index, "k", [], "u", None, "ok", None, content, None)
        for index, content in enumerate([buffer.getvalue(), b"no image", buffer.getvalue()])
    ]
    seconds = StageSeconds()
    make = sleeper_of(image_s)(Job(spec, None, 0, {}), Storage(), threads=1)
    rows = make.make_rows(EncodedPart(Part("d", "s", 0, 3, "end"), images, 0.0), seconds)
    return rows, seconds


def test_every_pixel_is_the_first_class_and_broken_images_fail_as_ever():
    rows, _ = made(0.0)

    assert [row.status for row in rows] == ["ok", "undecodable", "ok"]
    assert rows[0].class_pixels == [{"class": 0, "pixels": 12}]


def test_predicting_takes_the_stated_time_for_each_image_that_is_one():
    _, seconds = made(0.05)

    assert 0.1 <= seconds.predict_s < 10


def test_sleepers_of_different_times_do_not_share_them():
    short, long = sleeper_of(0.1), sleeper_of(0.2)

    assert (short.image_s, long.image_s, Sleeper.image_s) == (0.1, 0.2, 0)
