"""Palettes against the data sets' own files."""

from PIL import Image

from refinenet_core import label_set
from refinenet_core.labels.palettes import png_palette, voc_colours


def test_vocs_palette_is_the_one_in_its_masks(shared):
    mask = Image.open(shared / "data" / "voc" / "SegmentationClass" / "2007_000033.png")

    palette = png_palette(label_set("voc").colours)

    assert palette == bytes(mask.getpalette())


def test_a_palette_is_the_classes_colours_and_then_vocs():
    palette = png_palette([(1, 2, 3), (4, 5, 6)])

    assert len(palette) == 768
    assert palette[:6] == bytes(range(1, 7))
    assert tuple(palette[6:9]) == voc_colours(3)[2] == (0, 128, 0)
