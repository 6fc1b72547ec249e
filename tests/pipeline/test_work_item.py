"""Work items: what the driver hands to readers."""

import pyarrow as pa
import pytest

from pipeline.plan import PlannedShard, ShardFile
from pipeline.work_item import WorkItem, pack_items, unpack_items


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
