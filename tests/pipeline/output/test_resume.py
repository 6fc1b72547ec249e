"""What is committed of a plan, and what is left to do, as a listing shows it."""

import pytest

from pipeline.datasets.make_plan import plan_shard_files
from pipeline.datasets.plan import ShardFile, shard_slug
from pipeline.output.part_name import part_file_name
from pipeline.output.resume import Committed
from planned_images import planned


def names(*endings):
    """Return file names of one shard's parts, for example "0", "1", "2-end" or "2-cut"."""
    slug = shard_slug("d", "s3://b/a.tar")
    numbered = [ending.partition("-") for ending in endings]
    return [f"{slug}-{int(number):06d}{dash}{kind}.parquet" for number, dash, kind in numbered]


def committed(*endings):
    plan = plan_shard_files("d", [ShardFile("s3://b/a.tar", "s3://b/a.tar", 1, "e")])
    return Committed(plan, names(*endings))


@pytest.mark.parametrize(
    ("endings", "missing_files", "done"),
    [
        ((), ("0",), set()),
        (("0", "1-end"), (), None),
        (("0", "2-end"), ("1",), {0, 2}),
        (("0",), ("1",), {0}),
        (("0", "1-cut"), (), {0}),
        (("1-cut",), ("0",), set()),
    ],
)
def test_a_shard_that_broke_off_is_read_again_but_lacks_nothing(endings, missing_files, done):
    found = committed(*endings)

    assert found.missing_files() == names(*missing_files)
    assert [set(item.done) for item in found.missing()] == ([] if done is None else [done])


def test_of_planned_images_what_is_committed_is_counted_without_opening_a_file():
    plan = planned([1] * 50)  # two shards, of 16 parts of three images and of one of two
    first, second = plan.shards
    there = [part_file_name(first.slug, number, "") for number in (0, 5)]

    part, whole = Committed(plan, there), Committed(plan, [part_file_name(second.slug, 0, "end")])

    assert (part.num_parts, part.num_counted_images, part.uncounted) == (2, 6, [])
    assert (whole.num_counted_images, whole.num_finished_shards) == (2, 1)
    assert len(part.missing_files()) == 17 - 2
    assert [item.done for item in part.missing()] == [{0, 5}, frozenset()]


def test_the_images_of_a_tar_are_told_by_its_files_alone():
    found = committed("0", "1-end")

    assert found.num_counted_images == 0
    assert found.uncounted == names("0", "1-end")


def test_files_of_shards_that_are_not_planned_count_nothing():
    found = Committed(planned([1]), names("0", "1-end"))

    assert (found.files, found.num_finished_shards) == ([], 0)


def test_parts_with_failed_images_are_to_be_made_again_and_no_others():
    asked = []

    def failed(files):
        asked.extend(files)
        return [name == names("1")[0] for name in files]

    [item] = committed("0", "1", "2-end").redone(failed)

    assert sorted(asked) == names("0", "1", "2-end")
    assert (item.done, item.redo) == ({0, 2}, {1})
    assert committed("0", "1-end").redone(failed) == []


def test_a_shard_that_broke_off_is_not_left_out_by_a_pass_over_all():
    assert committed("0", "1-cut").left_out() == []
    assert committed("0", "1-cut").broken_shards == ["s3://b/a.tar"]
    assert [item.done for item in committed("0").left_out()] == [{0}]
