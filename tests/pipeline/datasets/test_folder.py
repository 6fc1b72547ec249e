"""The folder source: images in order, each with its own target or a clear refusal."""

import pytest

from pipeline.datasets.folder import list_images
from pipeline.datasets.plan import LISTED_SCHEMA
from pipeline.errors import PlanError, StorageError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage


def dataset(**fields):
    return DatasetSpec(name="d", classes="voc", **fields)


@pytest.fixture
def files(tmp_path):
    for name in ("i/a.jpg", "i/b.jpg", "i/deep/c.jpg", "t/a.png", "t/b.png", "t/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_stem_finds_targets_by_file_name(files):
    listed = list_images(
        dataset(images=f"{files}/i/**/*.jpg", targets=f"{files}/t/{{stem}}.png"), Storage()
    )

    assert listed.schema.equals(LISTED_SCHEMA)
    assert listed["key"].to_pylist() == ["a", "b", "deep/c"]
    assert [uri[-7:] for uri in listed["target_uri"].to_pylist()] == [
        "t/a.png",
        "t/b.png",
        "t/c.png",
    ]
    assert listed["size_bytes"].to_pylist() == [7, 7, 12]
    assert listed["target_size_bytes"].to_pylist() == [7, 7, 7]


def test_relpath_finds_targets_at_the_same_place_below(files):
    (files / "t/deep").mkdir()
    (files / "t/c.png").rename(files / "t/deep/c.png")

    listed = list_images(
        dataset(images=f"{files}/i", targets=f"{files}/t/{{relpath}}.png"), Storage()
    )

    assert listed["target_uri"][2].as_py().endswith("t/deep/c.png")


def test_images_come_in_byte_order_whatever_the_order_of_the_listing(files):
    for name in ("Z.jpg", "é.jpg", "a-b.jpg", "a/b.jpg", "a b.jpg"):
        (files / "i" / name).parent.mkdir(exist_ok=True)
        (files / "i" / name).write_bytes(b"x")

    listed = list_images(dataset(images=f"{files}/i/**"), Storage())

    keys = [key.encode() for key in listed["uri"].to_pylist()]
    assert keys == sorted(keys)
    assert len(keys) == 8


def test_missing_targets_are_counted_and_the_first_is_named(files):
    (files / "t/b.png").unlink()
    fields = {"images": f"{files}/i/**/*.jpg", "targets": f"{files}/t/{{stem}}.png"}

    with pytest.raises(PlanError, match=r"1 of 3 images have no target.*i/b\.jpg.*t/b\.png"):
        list_images(dataset(**fields), Storage())
    listed = list_images(dataset(**fields, targets_missing="row"), Storage())

    assert listed["target_uri"].is_null().to_pylist() == [False, True, False]
    assert listed["target_stamp"].is_null().to_pylist() == [False, True, False]


def test_no_images_is_an_error_that_names_the_pattern(files):
    with pytest.raises(PlanError, match=r"no images at .*i/\*\.webp"):
        list_images(dataset(images=f"{files}/i/*.webp"), Storage())
    with pytest.raises(StorageError, match=r"nowhere.*no such file or folder"):
        list_images(dataset(images=f"{files}/nowhere/*.webp"), Storage())
