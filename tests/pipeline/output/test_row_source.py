"""What a row was made of, read again: the same image, or none if it is another by now."""

import hashlib
import time

import numpy as np
import pytest
from PIL import Image

from encoded_images import encoded
from pipeline.datasets.plan import PlannedShard, ShardFile
from pipeline.output.mask_table import MaskRow
from pipeline.output.row_source import SourceImages
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from tars import make_tar

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
TARGET = np.array([[0, 1, 2, 255, 1, 0]] * 4, np.uint8)
LISTED = PlannedShard("d", "s", 0, part_images=(2,))


def row_of(data, index=0, **fields):
    row = MaskRow("s", index, str(index), **{"uri": None, "target_uri": None, **fields})
    row.height, row.width = 4, 6
    row.image_sha256 = hashlib.sha256(data).hexdigest()
    return row


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PIXELS))
    return path


@pytest.fixture
def dataset(tmp_path):
    return DatasetSpec(
        name="d",
        images=str(tmp_path),
        targets=f"{tmp_path}/{{stem}}-target.png",
        classes=["a", "b", "c"],
    )


def test_an_image_that_is_as_it_was_is_returned_with_its_target(image, dataset):
    target = image.with_name("a-target.png")
    target.write_bytes(encoded(TARGET))
    row = row_of(image.read_bytes(), uri=f"file://{image}", target_uri=f"file://{target}")

    source = SourceImages(dataset, LISTED, Storage(), with_targets=True).read(row)
    alone = SourceImages(dataset, LISTED, Storage()).read(row)

    np.testing.assert_array_equal(source.pixels, PIXELS)
    np.testing.assert_array_equal(source.target, TARGET)
    assert alone.target is None


def test_an_image_that_is_another_or_gone_by_now_is_not_returned(image, dataset):
    row = row_of(image.read_bytes(), uri=f"file://{image}")
    images = SourceImages(dataset, LISTED, Storage())

    image.write_bytes(encoded(PIXELS[::-1]))
    another = images.read(row)
    image.unlink()

    assert another is None
    assert images.read(row) is None


def test_a_target_that_has_changed_costs_the_target_alone(image, dataset):
    target = image.with_name("a-target.png")
    target.write_bytes(encoded(TARGET + 3))
    row = row_of(image.read_bytes(), uri=f"file://{image}", target_uri=f"file://{target}")

    source = SourceImages(dataset, LISTED, Storage(), with_targets=True).read(row)

    np.testing.assert_array_equal(source.pixels, PIXELS)
    assert source.target is None


def test_the_images_of_a_tar_are_read_in_the_order_of_their_rows(tmp_path):
    files = [encoded(Image.new("RGB", (6, 4), (shade, 0, 0))) for shade in range(4)]
    path = tmp_path / "a.tar"
    path.write_bytes(make_tar((f"{n}.png", data) for n, data in enumerate(files)))
    dataset = DatasetSpec(name="d", format="webdataset", images=str(path))
    file = ShardFile("s", f"file://{path}", path.stat().st_size, "e")
    images = SourceImages(dataset, PlannedShard("d", "s", 0, file=file), Storage())

    second, last = (images.read(row_of(files[index], index)) for index in (1, 3))

    assert second.pixels[0, 0].tolist() == [1, 0, 0]
    assert last.pixels[0, 0].tolist() == [3, 0, 0]
    assert images.read(row_of(files[3], 9)) is None


def test_after_its_deadline_nothing_is_read(image, dataset):
    row = row_of(image.read_bytes(), uri=f"file://{image}")

    with pytest.raises(TimeoutError, match="d: no more time to read images"):
        SourceImages(dataset, LISTED, Storage(), deadline=time.monotonic() - 1).read(row)
