"""Parts on their way from reader to actor: what goes in comes out."""

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.output.part_name import Part
from pipeline.stages.encoded_part import ENCODED_SCHEMA, EncodedPart

IMAGES = [
    EncodedImage(
        7, "a/图", ["duplicate_key"], "file:///a.png", "file:///t.png", "ok", None, b"\0a", b"t"
    ),
    EncodedImage(8, "", [], "file:///b.png", None, "unreadable", "is gone", None, None),
]


def test_a_part_comes_out_of_its_table_as_it_went_in():
    part = EncodedPart(Part("d", "s#1", 3, 2, "cut"), IMAGES, 0.5, 2, replaces=True, read_at=9.25)

    table = part.to_table()

    assert (table.num_rows, table.schema) == (1, ENCODED_SCHEMA)
    assert EncodedPart.from_table(table) == part


def test_a_part_without_images_is_one_row_as_well():
    part = EncodedPart(Part("d", "s", 0, 0, "end"), [], 0.0)

    table = part.to_table()

    assert table.num_rows == 1
    assert EncodedPart.from_table(table) == part


def test_the_number_of_images_is_of_those_that_are_there():
    part = EncodedPart(Part("d", "s", 0, 99, ""), IMAGES, 0.0)

    assert EncodedPart.from_table(part.to_table()).part.images == 2
