"""Reading images that the plan lists one by one: what became of them is in their rows."""

from dataclasses import replace

import pytest

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.stages.image_reader import read_planned_images
from planned_job import planned_job


@pytest.fixture
def planned(tmp_path):
    """A job of three images with targets, and where these lie."""
    for folder in ("i", "t"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            (tmp_path / folder / f"{name}.png").write_bytes(f"{folder} {name}".encode())
    _, output, [item] = planned_job(
        tmp_path, images=f"{tmp_path}/i/*.png", targets=f"{tmp_path}/t/{{stem}}.png"
    )
    return tmp_path, output, item


def read(planned, **changes):
    _, output, item = planned
    return list(read_planned_images(replace(item, **changes), output, output.storage))


def test_images_come_in_the_plans_parts_with_their_targets(planned):
    root, *_ = planned

    first, last = read(planned)

    uris = [f"file://{root}/{folder}/a.png" for folder in ("i", "t")]
    assert first.images[0] == EncodedImage(0, "a", [], *uris, "ok", None, b"i a", b"t a")
    assert [image.key for part in (first, last) for image in part.images] == ["a", "b", "c"]
    assert [(part.part.number, part.part.ending) for part in (first, last)] == [(0, ""), (1, "end")]


def test_parts_that_are_committed_are_read_only_to_be_made_again(planned):
    _, output, _ = planned
    first, last = read(planned)
    output.storage.write(output.part_uri(first.part), b"committed meanwhile")

    left, again = read(planned), read(planned, done=frozenset({1}), redo=frozenset({0}))

    assert [(each.part, each.replaces) for each in left] == [(last.part, False)]
    assert [(each.part, each.replaces) for each in again] == [(first.part, True)]


def test_images_that_are_gone_or_others_are_rows_that_say_so(planned):
    root, *_ = planned
    (root / "i/a.png").unlink()
    (root / "i/b.png").write_bytes(b"another image")

    [gone, changed] = read(planned)[0].images

    assert (gone.status, gone.image) == ("unreadable", None)
    assert "i/a.png is gone since planned" in gone.error
    assert (changed.status, changed.image) == ("changed", None)
    assert "b.png has changed since it was planned: 3 bytes" in changed.error


def test_an_image_whose_target_is_gone_is_read_all_the_same(planned):
    root, *_ = planned
    (root / "t/a.png").unlink()

    image = read(planned)[0].images[0]

    assert (image.status, image.image, image.target) == ("missing_target", b"i a", None)
