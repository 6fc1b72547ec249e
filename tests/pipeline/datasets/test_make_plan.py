"""Plans: how images are cut into parts and shards, and how a plan is frozen and extended."""

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.make_plan import plan_images, plan_shard_files
from pipeline.datasets.plan import LISTED_SCHEMA, PLAN_SCHEMA, SHARD_PARTS, DatasetPlan, ShardFile
from pipeline.spec.share import Share


def listed(sizes, *, first=0):
    rows = [
        {
            "key": f"k{n}",
            "uri": f"s3://b/f/k{n}.png",
            "size_bytes": size,
            "stamp": None if size is None else f"e{n}",
        }
        for n, size in enumerate(sizes, first)
    ]
    return pa.Table.from_pylist(rows, schema=LISTED_SCHEMA)


def planned(sizes, *, part_images=3, part_bytes=100, first=0, after=None):
    return plan_images(
        "d",
        "s3://b/f",
        listed(sizes, first=first),
        part_images=part_images,
        part_bytes=part_bytes,
        after=after,
    )


@settings(deadline=None)  # the first example imports
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
    found = {
        (shard.name, number): images
        for shard in plan.shards
        for number, images in enumerate(shard.part_images)
    }
    assert found == {name: len(members) for name, members in by_part.items()}
    assert plan.num_images == len(sizes)
    assert plan.size_bytes == sum(sizes)


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


def test_images_that_were_not_there_are_planned_without_a_size():
    plan = planned([5, None, 7])

    assert plan.table["stamp"].to_pylist() == ["e0", None, "e2"]
    assert plan.shards[0].part_images == (3,)


def test_an_extended_plan_keeps_its_shards_and_counts_on_behind_them():
    first = planned([1] * 50)

    extended = planned([1] * 5, first=50, after=first.table)

    assert extended.shards[: len(first.shards)] == first.shards
    new = extended.shards[len(first.shards) :]
    assert [shard.name for shard in new] == ["s3://b/f#000002"]
    assert new[0].part_images == (3, 2)
    copy = DatasetPlan.from_parquet("d", extended.to_parquet())
    assert copy.shards == extended.shards


def test_keys_that_repeat_are_flagged_in_the_whole_dataset():
    table = listed([1, 1, 1])
    table = table.set_column(0, LISTED_SCHEMA.field("key"), [["a", "b", "a"]])

    plan = plan_images("d", "s3://b/f", table, part_images=1, part_bytes=1)

    assert plan.table["duplicate_key"].to_pylist() == [True, False, True]


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
