"""Plans: how images are cut into parts and shards, and what files parts become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import (
    PLAN_SCHEMA,
    SHARD_PARTS,
    DatasetPlan,
    Part,
    PlannedImage,
    plan_images,
    shard_slug,
)
from pipeline.storage import StoredObject


def planned(sizes, *, part_images=3, part_bytes=100):
    images = [
        PlannedImage(f"k{n}", StoredObject(f"s3://b/f/k{n}.png", size, f"e{n}"), None)
        for n, size in enumerate(sizes)
    ]
    return plan_images("d", "s3://b/f", images, part_images=part_images, part_bytes=part_bytes)


@given(
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=200),
    part_images=st.integers(1, 5),
)
def test_every_image_is_in_one_part_within_the_bounds_and_in_order(sizes, part_images):
    plan = planned(sizes, part_images=part_images)

    rows = plan.table.to_pylist()
    assert [row["key"] for row in rows] == [f"k{n}" for n in range(len(sizes))]
    by_part = {}
    by_shard = {}
    for row in rows:
        by_part.setdefault((row["shard"], row["part"]), []).append(row["size_bytes"])
        by_shard.setdefault(row["shard"], []).append(row)
    for members in by_part.values():
        assert len(members) <= part_images
        assert sum(members) <= 100 or len(members) == 1
    for members in by_shard.values():
        assert [row["index"] for row in members] == list(range(len(members)))
        assert members[-1]["part"] < SHARD_PARTS
    parts = [part for shard in plan.shards() for part in shard.parts]
    assert {(part.shard, part.number): part.images for part in parts} == {
        name: len(members) for name, members in by_part.items()
    }
    lasts = [part.number for part in parts if part.last]
    assert lasts == [max(row["part"] for row in members) for members in by_shard.values()]


def test_a_frozen_plan_is_read_back_with_a_row_group_per_shard():
    plan = planned([1] * 120)

    copy = DatasetPlan.from_parquet("d", plan.to_parquet())

    assert copy.table.equals(plan.table)
    assert copy.table.schema.equals(PLAN_SCHEMA)
    assert [shard.row_group for shard in copy.shards()] == [0, 1, 2]
    assert plan.to_parquet() == copy.to_parquet()


def test_part_files_are_named_by_slug_hash_number_and_end():
    middle = Part("d", "s3://b/my folder/ü#000003", number=7, images=3, last=False)
    last = Part("d", "s3://b/my folder/ü#000003", number=8, images=1, last=True)

    assert middle.file_name == "--000003-9c4051e85208444d-000007.parquet"
    assert last.file_name == "--000003-9c4051e85208444d-000008-end.parquet"


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
