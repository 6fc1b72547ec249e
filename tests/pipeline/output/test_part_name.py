"""Parts: what their files are called, and what a listing of them says of a shard."""

import pytest

from pipeline.datasets.make_plan import plan_shard_files
from pipeline.datasets.plan import ShardFile, shard_slug
from pipeline.output.part_name import Part, ShardFiles, group_part_files
from pipeline.output.resume import Committed


def names(*endings):
    """Return file names of one shard's parts, for example "0", "1", "2-end" or "2-cut"."""
    slug = shard_slug("d", "s3://b/a.tar")
    numbered = [ending.partition("-") for ending in endings]
    return [f"{slug}-{int(number):06d}{dash}{kind}.parquet" for number, dash, kind in numbered]


def committed(*endings):
    plan = plan_shard_files("d", [ShardFile("s3://b/a.tar", "s3://b/a.tar", 1, "e")])
    return Committed(plan, names(*endings))


def test_part_files_are_named_by_slug_hash_number_and_end():
    middle = Part("d", "s3://b/my folder/ü#000003", number=7, images=3, ending="")
    last = Part("d", "s3://b/my folder/ü#000003", number=8, images=1, ending="end")
    broken = Part("d", "s3://b/my folder/ü#000003", number=8, images=1, ending="cut")

    assert middle.file_name == "--000003-9c4051e85208444d-000007.parquet"
    assert last.file_name == "--000003-9c4051e85208444d-000008-end.parquet"
    assert broken.file_name == "--000003-9c4051e85208444d-000008-cut.parquet"


@pytest.mark.parametrize(
    ("one", "other"),
    [(("d", "s3://b/x#0"), ("e", "s3://b/x#0")), (("d", "s3://b/x#0"), ("d", "s3://c/x#0"))],
)
def test_shards_of_other_datasets_or_folders_have_other_files(one, other):
    assert shard_slug(*one) != shard_slug(*other)


def test_long_and_hostile_names_become_safe_file_names():
    slug = shard_slug("d", "s3://b/../" + "x<>:|" * 50)

    assert len(slug) == 60 + 1 + 16
    assert set(slug) <= set("x-0123456789abcdef")


def test_names_that_are_no_part_files_are_passed_over():
    assert group_part_files(["notes.txt", "a-1.parquet", ".x-000000.parquet.77.tmp"]) == {}


@pytest.mark.parametrize(
    ("endings", "finished", "broken_off", "valid", "superseded"),
    [
        ((), False, False, (), ()),
        (("0", "1-end"), True, False, ("0", "1-end"), ()),
        (("1-end",), False, False, ("1-end",), ()),
        (("0", "1-cut"), False, True, ("0", "1-cut"), ()),
        (("1-cut",), False, False, ("1-cut",), ()),
        (("0", "1-cut", "1", "2-end"), True, True, ("0", "1", "2-end"), ("1-cut",)),
        (("0", "1", "2-cut", "1-cut"), False, True, ("0", "1", "2-cut"), ("1-cut",)),
        (("0", "2-end", "1-cut"), False, True, ("0", "1-cut", "2-end"), ()),
        (("0", "1-end", "1-cut"), True, True, ("0", "1-end"), ("1-cut",)),
    ],
)
def test_a_listing_says_what_is_left_of_a_shard(endings, finished, broken_off, valid, superseded):
    slug = shard_slug("d", "s3://b/a.tar")

    files = group_part_files(names(*endings)).get(slug, ShardFiles())

    assert files.finished is finished
    assert files.broken_off is broken_off
    assert files.valid == names(*valid)
    assert files.superseded == names(*superseded)


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
