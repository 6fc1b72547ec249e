"""The plan: how it is frozen and read back, what it knows, and what a share has of it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.make_plan import plan_shard_files
from pipeline.datasets.plan import PLAN_SCHEMA, DatasetPlan, PlannedShard, ShardFile, shard_slug
from pipeline.spec.share import Share
from planned_images import planned


def test_a_frozen_plan_is_read_back_with_a_row_group_per_shard():
    plan = planned([1] * 120)

    frozen = plan.to_parquet()
    copy = DatasetPlan.from_parquet("d", frozen)

    assert [shard.row_group for shard in copy.shards] == [0, 1, 2]
    assert copy.shards == plan.shards
    file = pq.ParquetFile(pa.BufferReader(frozen))
    assert file.schema_arrow.equals(PLAN_SCHEMA)
    for shard in copy.shards:
        rows = file.read_row_group(shard.row_group)
        assert set(rows["shard"].to_pylist()) == {shard.name}
        assert rows.num_rows == shard.images


def test_a_plan_of_tars_knows_no_images_and_one_of_tables_does():
    tars = [ShardFile(f"s3://b/{n}.tar", f"s3://b/{n}.tar", 10, "e") for n in range(3)]
    tables = [ShardFile(f"s3://b/t#{n}", "s3://b/t", 10, "e", n, 1, 7 * n, 7) for n in range(3)]

    plans = [plan_shard_files("d", files) for files in (tars, tables)]
    copies = [DatasetPlan.from_parquet("d", plan.to_parquet()) for plan in plans]

    assert [plan.num_images for plan in copies] == [None, 21]
    assert [plan.size_bytes for plan in copies] == [30, 10]
    assert [shard.file for shard in copies[1].shards] == tables


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=300),
    shares=st.integers(1, 6),
    tars=st.booleans(),
)
def test_shares_together_are_the_plan(sizes, shares, tars):
    whole = planned(sizes, part_images=1)
    if tars:
        files = [ShardFile(f"s{n}", f"s{n}", size, "e", images=n) for n, size in enumerate(sizes)]
        whole = plan_shard_files("d", files)
    whole = DatasetPlan.from_parquet("d", whole.to_parquet())

    parts = [whole.of_share(Share(number, shares)) for number in range(1, shares + 1)]

    taken = [shard for part in parts for shard in part.shards]
    assert sorted(taken, key=lambda shard: shard.row_group) == list(whole.shards)
    assert sum(part.num_images for part in parts) == whole.num_images
    assert sum(part.size_bytes for part in parts) == whole.size_bytes


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


@pytest.mark.parametrize(
    ("images", "take_images", "expected"), [(9, None, 9), (9, 4, 4), (3, 4, 3), (None, 4, None)]
)
def test_of_a_file_no_more_images_count_than_are_to_be_taken(images, take_images, expected):
    file = ShardFile("s", "s", 1, "e", images=images, take_images=take_images)

    assert PlannedShard("d", "s", 0, file=file).images == expected
