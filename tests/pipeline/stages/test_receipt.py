"""Receipts: what the stages pass on of a part, and what many of them add up to."""

import pyarrow as pa

from pipeline.output.part_name import Part
from pipeline.stages.receipt import ActorSeconds, Receipt, SegmentedPart, StageSeconds

RECEIPT = Receipt(
    Part("d", "s", 4, 8, "end"),
    {"crashed": 1},
    StageSeconds(0.1, 0.2, 0.3, 0.4, 0.5),
    retries=2,
    replaces=True,
    refused="no space",
    actor_s=ActorSeconds(1.0, 2.0, 3.0),
    taken_at=1_700_000_000.25,
)


def test_receipts_come_out_of_their_tables_as_they_went_in():
    other = Receipt(Part("d", "s", 5, 1, ""))

    table = pa.concat_tables([RECEIPT.to_table(), other.to_table()])

    assert Receipt.from_table(table) == [RECEIPT, other]


def test_a_segmented_part_keeps_its_file_and_its_receipt():
    part = SegmentedPart(RECEIPT, b"\0file\xff")

    table = part.to_table()

    assert SegmentedPart.from_table(table) == part
    assert Receipt.from_table(table) == [RECEIPT]


def test_no_part_is_a_table_of_no_row_that_goes_with_others():
    table = pa.concat_tables([SegmentedPart.none(), SegmentedPart(RECEIPT, b"").to_table()])

    assert SegmentedPart.none().num_rows == 0
    assert table.num_rows == 1


def test_seconds_add_up_stage_by_stage():
    assert StageSeconds(read_s=1, write_s=2) + StageSeconds(read_s=3, encode_s=4) == StageSeconds(
        read_s=4, encode_s=4, write_s=2
    )
    assert ActorSeconds(1, 2, 3) + ActorSeconds(10, 20, 30) == ActorSeconds(11, 22, 33)
