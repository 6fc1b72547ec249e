"""Parts: what their files are called, and what a listing of them says of a shard."""

import pytest

from pipeline.datasets.plan import shard_slug
from pipeline.output.part_name import Part, ShardFiles, group_part_files


def names(*endings):
    """Return file names of one shard's parts, for example "0", "1", "2-end" or "2-cut"."""
    slug = shard_slug("d", "s3://b/a.tar")
    numbered = [ending.partition("-") for ending in endings]
    return [f"{slug}-{int(number):06d}{dash}{kind}.parquet" for number, dash, kind in numbered]


def test_part_files_are_named_by_slug_hash_number_and_end():
    middle = Part("d", "s3://b/my folder/ü#000003", number=7, images=3, ending="")
    last = Part("d", "s3://b/my folder/ü#000003", number=8, images=1, ending="end")
    broken = Part("d", "s3://b/my folder/ü#000003", number=8, images=1, ending="cut")

    assert middle.file_name == "--000003-9c4051e85208444d-000007.parquet"
    assert last.file_name == "--000003-9c4051e85208444d-000008-end.parquet"
    assert broken.file_name == "--000003-9c4051e85208444d-000008-cut.parquet"


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
