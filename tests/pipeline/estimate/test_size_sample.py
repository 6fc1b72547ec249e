"""Samples of a dataset's images: the same ones each time, whatever form the images have."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.datasets.make_plan import plan_dataset
from pipeline.estimate.cost import estimate_dataset
from pipeline.estimate.size_sample import SAMPLED_IMAGES, SAMPLED_SHARDS, sample_sizes
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage
from tars import make_tar


def encoded(height, width, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def sampled(images, *, keep=0, **dataset):
    """Return a dataset's sample."""
    content = {"name": "d", "images": str(images), "classes": ["a", "b"], **dataset}
    spec = JobSpec.from_mapping(
        {"name": "j", "model": {"checkpoint": "x"}, "datasets": [content], "output": "out"}
    )
    storage = Storage()
    plan = plan_dataset(spec.datasets[0], spec, storage)
    return sample_sizes(spec.datasets[0], plan, storage, keep=keep)


def sizes(sample):
    return [(image.height, image.width) for image in sample.sampled]


def test_of_a_large_folder_the_same_images_are_drawn_each_time(tmp_path):
    images = SAMPLED_IMAGES + 200
    for number in range(images):
        (tmp_path / f"{number:04d}.png").write_bytes(encoded(8, 8 + number))

    first, second = sampled(tmp_path / "*.png"), sampled(tmp_path / "*.png")

    assert sizes(first) == sizes(second)
    assert len(set(sizes(first))) == SAMPLED_IMAGES
    found = estimate_dataset("d", first)
    assert found.images.value == images
    truth = sum(8 * (8 + number) for number in range(images))
    assert abs(found.pixels.value - truth) <= found.pixels.margin < 0.1 * truth


def test_of_a_small_folder_every_image_is_looked_at_and_nothing_is_uncertain(tmp_path):
    for number, width in enumerate([8, 16, 24]):
        (tmp_path / f"{number}.png").write_bytes(encoded(10, width))

    found = estimate_dataset("d", sampled(tmp_path / "*.png"))

    assert found.pixels.value == pytest.approx(480)
    assert found.pixels.margin == 0


def test_images_that_will_not_be_segmented_have_no_pixels(tmp_path):
    (tmp_path / "0.png").write_bytes(encoded(10, 10))
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "2.png").write_bytes(encoded(100, 100))

    sample = sampled(tmp_path / "*.png", decode={"max_pixels": 1000})

    assert sorted(sizes(sample)) == [(0, 0), (0, 0), (10, 10)]
    found = estimate_dataset("d", sample)
    assert (found.sampled, found.unusable, found.pixels.value) == (3, 2, pytest.approx(100))


def test_a_header_behind_the_first_bytes_is_found(tmp_path):
    """A JPEG may begin with more metadata than the bytes that are read at first."""
    image = Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8))
    image.save(tmp_path / "0.jpg", icc_profile=bytes(200_000))

    assert sizes(sampled(tmp_path / "*.jpg")) == [(30, 40)]


def test_small_tars_are_counted_exactly(tmp_path):
    for number in range(3):
        members = [(f"{n}.png", encoded(10, 10 + n)) for n in range(number + 1)]
        (tmp_path / f"{number}.tar").write_bytes(make_tar(members))

    sample = sampled(tmp_path / "*.tar", format="webdataset")

    assert sample.images is None
    found = estimate_dataset("d", sample)
    assert (found.images.value, found.images.margin) == (pytest.approx(6), 0)
    assert found.pixels.value == pytest.approx(100 + 100 + 110 + 100 + 110 + 120)


def test_of_large_tars_the_beginnings_tell_how_many_images_there_are(tmp_path):
    content = encoded(20, 30) + bytes(1 << 20)  # a megabyte behind the image
    tars = SAMPLED_SHARDS + 2
    for number in range(tars):
        members = [(f"{n}.png", content) for n in range(12 + number % 2)]
        (tmp_path / f"{number:02d}.tar").write_bytes(make_tar(members))

    found = estimate_dataset("d", sampled(tmp_path / "*.tar", format="webdataset"))

    truth = sum(12 + number % 2 for number in range(tars))
    assert found.images.value == pytest.approx(truth, rel=0.15)
    assert found.pixels.value == pytest.approx(600 * found.images.value)


def test_a_limit_bounds_what_is_left(tmp_path):
    members = [(f"{n}.png", encoded(10, 10)) for n in range(9)]
    (tmp_path / "0.tar").write_bytes(make_tar(members))

    sample = sampled(tmp_path / "*.tar", format="webdataset")

    found = estimate_dataset("d", sample, limit=4, done=1)
    assert (found.images.value, found.left.value, found.pixels.value) == (4, 3, pytest.approx(300))


def test_of_tables_rows_of_some_shards_are_looked_at(tmp_path):
    column = [encoded(10, 10 + number % 5) for number in range(200)]
    pq.write_table(pa.table({"image": column}), tmp_path / "0.parquet", row_group_size=20)

    found = estimate_dataset("d", sampled(tmp_path / "*.parquet", format="parquet"))

    assert found.images.value == 200
    assert found.pixels.value == pytest.approx(200 * 120, rel=0.1)


def test_images_to_measure_on_are_kept_with_their_targets(tmp_path):
    for folder in ("images", "targets"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            (tmp_path / folder / f"{number}.png").write_bytes(encoded(8, 8 + number))

    sample = sampled(
        tmp_path / "images/*.png", targets=str(tmp_path / "targets/{stem}.png"), keep=4
    )

    kept = [image for image in sample.sampled if image.encoded]
    assert len(kept) == 4
    for image in kept:
        expected = encoded(image.height, image.width)
        assert image.encoded.image == image.encoded.target == expected


@pytest.mark.s3
def test_in_an_object_store_the_same_is_found(tmp_path, s3):
    names = [f"{number}.png" for number in range(40)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(encoded(8, 8 + number))
    (tmp_path / "0.tar").write_bytes(make_tar([(n, (tmp_path / n).read_bytes()) for n in names]))
    s3.upload(tmp_path, "shards/sampled", [*names, "0.tar"])

    images = sampled("s3://shards/sampled/*.png", keep=2)
    tars = sampled("s3://shards/sampled/*.tar", format="webdataset", keep=2)

    assert sorted(sizes(images)) == [(8, 8 + number) for number in range(40)]
    assert len(sizes(tars)) == 16  # of one shard
    found = estimate_dataset("d", tars)
    assert (found.images.value, found.images.margin) == (pytest.approx(40), 0)  # it is small
    assert found.pixels.value == pytest.approx(sum(8 * (8 + n) for n in range(40)), rel=0.5)
    for sample in (images, tars):
        assert sum(image.encoded is not None for image in sample.sampled) == 2
