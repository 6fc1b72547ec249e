"""Work items: what the driver hands to readers."""

import pyarrow as pa
import pytest

from pipeline.datasets.plan import PlannedShard, ShardFile
from pipeline.output.work_item import WorkItem, legs, pack_items, unpack_items


def items(number):
    tar = ShardFile("s3://b/ü.tar", "s3://b/ü.tar", 2**40, "e", take_images=7)
    shards = [
        PlannedShard("d", f"s{n}", n, (3, 2)) if n % 2 else PlannedShard("d", f"s{n}", n, file=tar)
        for n in range(number)
    ]
    return [WorkItem.of(shard, {n, 3}, n or None) for n, shard in enumerate(shards)]


@pytest.mark.parametrize(("number", "rows", "expected"), [(3, 10, 3), (10, 10, 10), (25, 10, 9)])
def test_items_go_to_a_bounded_number_of_rows_and_come_back_in_order(number, rows, expected):
    packed = pack_items(items(number), rows)

    assert len(packed) == expected
    assert unpack_items(pa.Table.from_pylist(packed)) == items(number)


def tar(size_bytes, **known):
    file = ShardFile("t", "t", size_bytes, "e", **known)
    return WorkItem.of(PlannedShard("d", "t", 0, file=file), (), None)


def test_long_work_is_cut_into_legs_in_order():
    work = items(25)  # of 16 parts, but for the tars of 7 images

    cut = list(legs(work, 4, most_parts=40))

    assert [item for leg in cut for item in leg] == work
    assert [len(leg) for leg in cut] == [5, 4, 4, 4, 4, 4]  # of 2 parts and of 16, in turn
    assert [list(leg) for leg in legs(work, 4, most_parts=1000)] == [work]
    assert list(legs([], 4, most_parts=40)) == []


def test_the_parts_of_a_file_are_those_of_its_images_or_reckoned_from_its_bytes():
    counted, reckoned, small = tar(9, images=80), tar(8_000_000), tar(9)

    for parts, item in ((10, counted), (10, reckoned), (1, small)):
        assert [len(leg) for leg in legs([item] * 4, 8, most_parts=2 * parts)] == [2, 2]


def test_an_item_of_more_parts_than_a_leg_may_have_is_a_leg_alone():
    work = [tar(9), tar(9, images=1000), tar(9)]

    assert [len(leg) for leg in legs(work, 8, most_parts=10)] == [1, 1, 1]
