"""Label sets against the data sets' own files."""

import pytest
from PIL import Image

from refinenet_core import label_set, list_label_sets
from refinenet_core.palettes import png_palette


def test_vocs_palette_is_the_one_in_its_masks(shared):
    mask = Image.open(shared / "data" / "voc" / "SegmentationClass" / "2007_000033.png")

    palette = png_palette(label_set("voc").colours)

    assert palette == bytes(mask.getpalette())


@pytest.mark.parametrize(("name", "count", "void"), [("voc", 21, 255), ("camvid", 11, 11)])
def test_label_sets_have_a_colour_per_class_and_their_own_void(name, count, void):
    labels = label_set(name)

    assert len(labels.classes) == len(labels.colours) == len(set(labels.colours)) == count
    assert labels.ignore_index == void


def test_an_unknown_label_set_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"kittens.*camvid, voc"):
        label_set("kittens")
    assert list_label_sets() == ["camvid", "voc"]
