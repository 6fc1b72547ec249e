"""What all part makers share: rows in order, failures counted, headers before memory is spent."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.output.part_name import Part
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.part_maker import PartMaker
from pipeline.stages.receipt import SegmentedPart, StageSeconds
from pipeline.stages.sample import LabelMap
from pipeline.storage.storage import Storage


class Grounds(PartMaker):
    """Labels every pixel as the first class, and notes the sizes of what it gets at a time."""

    def label(self, window, dataset, seconds):  # noqa: ARG002 - the interface's
        self.windows = [*getattr(self, "windows", []), len(window)]
        return [
            (sample, LabelMap(np.zeros(pixels.shape[:2], np.uint8)))
            for sample, pixels in self.decode_images(window, dataset)
        ]


class Up:
    """A request to stop that has come."""

    def is_up(self):
        return True


@pytest.fixture(autouse=True)
def _pillows_limit():
    """A part maker sets Pillow's limit for its process."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


def maker(stop=None, **dataset):
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"checkpoint": "none.pth"},
            "datasets": [{"name": "d", "images": "i/*.png", "classes": ["a", "b"], **dataset}],
            "output": "out",
        }
    )
    return Grounds(Job(spec, None, 0, {"model": "made up"}), Storage(), threads=2, stop=stop)


def png(height, width, value=0):
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def part_of(*contents, targets=()):
    targets = [*targets, *[None] * (len(contents) - len(targets))]
    images = [
        EncodedImage(index, f"k{index}", [], "u", target and "t", "ok", None, content, target)
        for index, (content, target) in enumerate(zip(contents, targets, strict=True))
    ]
    return EncodedPart(Part("d", "s", 0, len(images), "end"), images, 0.25, retries=3)


def test_each_image_has_a_row_in_order_whatever_becomes_of_it():
    rows = maker().make_rows(part_of(png(3, 4), b"no image", png(5, 2)), StageSeconds())

    assert [(row.index, row.status) for row in rows] == [(0, "ok"), (1, "undecodable"), (2, "ok")]
    assert [(row.height, row.width) for row in rows] == [(3, 4), (None, None), (5, 2)]
    assert rows[0].class_pixels == [{"class": 0, "pixels": 12}]
    assert len({row.image_sha256 for row in rows}) == 3


def test_the_part_that_is_made_holds_the_rows_and_its_receipt_counts_failures():
    table = maker()(part_of(b"no image", png(3, 4), b"").to_table())

    made = SegmentedPart.from_table(table)
    rows = pq.read_table(pa.BufferReader(made.file)).to_pylist()
    assert [row["status"] for row in rows] == ["undecodable", "ok", "undecodable"]
    assert made.receipt.failed == {"undecodable": 2}
    assert (made.receipt.retries, made.receipt.seconds.read_s) == (3, 0.25)
    assert made.receipt.actor_s.worked_s > 0


def test_no_part_is_made_once_the_run_is_to_stop():
    assert maker(stop=Up())(part_of(png(3, 4)).to_table()).num_rows == 0


def test_an_image_that_is_too_large_by_its_header_is_not_decoded():
    make = maker(decode={"max_pixels": 100})

    rows = make.make_rows(part_of(png(10, 10), png(10, 11)), StageSeconds())

    assert [row.status for row in rows] == ["ok", "too_large"]
    assert make.windows == [1]


def test_a_target_of_another_size_fails_its_row_and_leaves_the_others():
    make = maker(targets="t/{stem}.png")
    part = part_of(png(3, 4), png(3, 4), targets=[png(3, 4, 1), png(4, 3)])

    rows = make.make_rows(part, StageSeconds())

    assert [row.status for row in rows] == ["ok", "bad_target"]
    assert rows[0].confusion == [{"target": 1, "prediction": 0, "pixels": 12}]
    assert rows[1].confusion is None
