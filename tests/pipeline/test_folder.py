"""The folder source: images in order, each with its own target or a clear refusal."""

import pytest

from pipeline.errors import PlanError, StorageError
from pipeline.sources.folder import list_images
from pipeline.spec import DatasetSpec
from pipeline.storage import Storage


def dataset(**fields):
    return DatasetSpec(name="d", classes="voc", **fields)


@pytest.fixture
def files(tmp_path):
    for name in ("i/a.jpg", "i/b.jpg", "i/deep/c.jpg", "t/a.png", "t/b.png", "t/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_stem_finds_targets_by_file_name(files):
    found = list_images(
        dataset(images=f"{files}/i/**/*.jpg", targets=f"{files}/t/{{stem}}.png"), Storage()
    )

    assert [image.key for image in found] == ["a", "b", "deep/c"]
    assert [image.target.uri[-7:] for image in found] == ["t/a.png", "t/b.png", "t/c.png"]


def test_relpath_finds_targets_at_the_same_place_below(files):
    (files / "t/deep").mkdir()
    (files / "t/c.png").rename(files / "t/deep/c.png")

    found = list_images(
        dataset(images=f"{files}/i", targets=f"{files}/t/{{relpath}}.png"), Storage()
    )

    assert found[2].target.uri.endswith("t/deep/c.png")


def test_missing_targets_are_counted_and_the_first_is_named(files):
    (files / "t/b.png").unlink()
    fields = {"images": f"{files}/i/**/*.jpg", "targets": f"{files}/t/{{stem}}.png"}

    with pytest.raises(PlanError, match=r"1 of 3 images have no target.*i/b\.jpg.*t/b\.png"):
        list_images(dataset(**fields), Storage())
    found = list_images(dataset(**fields, targets_missing="row"), Storage())

    assert [image.target is None for image in found] == [False, True, False]


def test_no_images_is_an_error_that_names_the_pattern(files):
    with pytest.raises(PlanError, match=r"no images at .*i/\*\.webp"):
        list_images(dataset(images=f"{files}/i/*.webp"), Storage())
    with pytest.raises(StorageError, match=r"nowhere.*no such file or folder"):
        list_images(dataset(images=f"{files}/nowhere/*.webp"), Storage())
