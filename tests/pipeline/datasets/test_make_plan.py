"""Plans in the making: how images are cut into parts and shards, and how a plan is extended."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.make_plan import plan_images
from pipeline.datasets.plan import LISTED_SCHEMA, SHARD_PARTS, DatasetPlan
from planned_images import listed, planned


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
