"""Reading shards that are files of many images: their parts, and shards that are not as planned."""

from dataclasses import replace

import pytest

from pipeline.stages.shard_reader import ShardReader
from planned_job import planned_job
from tars import make_tar, member_offsets


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "shard.tar"
    path.write_bytes(make_tar([(f"{number}.png", bytes([number]) * 100) for number in range(5)]))
    return path


def planned(tar, **changes):
    """Plan a job of the tar; return its spec and what reads it."""
    spec, output, [item] = planned_job(tar.parent, format="webdataset", images=str(tar))
    spec = spec.model_copy(update=changes)

    def read(**done):
        reader = ShardReader(spec, output, output.storage)
        return list(reader.read(spec.datasets[0], replace(item, **done), item.file))

    return output, read


def places(parts):
    return [(each.part.number, each.part.images, each.part.ending) for each in parts]


def test_a_shard_is_cut_into_parts_of_so_many_images(tar):
    _, read = planned(tar)

    parts = read()

    assert places(parts) == [(0, 2, ""), (1, 2, ""), (2, 1, "end")]
    assert [image.index for each in parts for image in each.images] == [0, 1, 2, 3, 4]
    assert parts[1].images[0].image == bytes([2]) * 100


def test_a_part_ends_before_it_has_too_many_bytes(tar):
    _, read = planned(tar, part_images=100, part_bytes=350)

    parts = read()

    assert places(parts) == [(0, 3, ""), (1, 2, "end")]


def test_what_is_committed_is_not_made_again(tar):
    output, read = planned(tar)
    output.storage.write(output.part_uri(read()[2].part), b"committed meanwhile")

    parts = read(done=frozenset({0}))

    assert places(parts) == [(1, 2, "")]


def test_a_shard_that_breaks_off_ends_in_a_row_that_says_how(tar):
    whole = tar.read_bytes()
    _, content, _ = member_offsets(whole)[3]
    tar.write_bytes(whole[: content + 10])
    _, read = planned(tar)

    parts = read()

    assert places(parts) == [(0, 2, ""), (1, 2, "cut")]
    last = parts[1].images[-1]
    assert (last.index, last.status, last.image) == (3, "truncated", None)
    assert "ends inside the member 3.png" in last.error


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda path: path.unlink(), "unreadable", "is gone since it was planned"),
        (lambda path: path.write_bytes(b"x"), "changed", "has changed since it was planned"),
    ],
)
def test_a_shard_that_is_not_as_planned_is_a_row(tar, change, status, words):
    _, read = planned(tar)
    change(tar)

    parts = read()

    assert places(parts) == [(0, 1, "cut")]
    [image] = parts[0].images
    assert image.status == status
    assert words in image.error
