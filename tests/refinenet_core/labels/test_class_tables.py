"""Class names and colours against what the data sets publish."""

import pytest

from refinenet_core import label_set, list_label_sets
from refinenet_core.labels.palettes import voc_colours


@pytest.mark.parametrize("name", list_label_sets())
def test_colours_are_rgb_and_differ_between_classes(name):
    labels = label_set(name)

    sharing = {
        tuple(
            other for other, shade in zip(labels.classes, labels.colours, strict=True) if shade == c
        )
        for c in labels.colours
        if labels.colours.count(c) > 1
    }

    assert all(len(colour) == 3 and set(colour) <= set(range(256)) for colour in labels.colours)
    # ADE20K publishes one colour twice
    assert sharing == ({("road", "skyscraper")} if name == "ade20k" else set())


def test_vocs_void_is_the_last_entry_of_its_palette():
    assert label_set("voc").ignore_colours == (voc_colours(256)[255],)


@pytest.mark.parametrize(
    ("label_id", "train_id", "name", "colour"),
    [
        (7, 0, "road", (128, 64, 128)),
        (8, 1, "sidewalk", (244, 35, 232)),
        (17, 5, "pole", (153, 153, 153)),
        (23, 10, "sky", (70, 130, 180)),
        (26, 13, "car", (0, 0, 142)),
        (33, 18, "bicycle", (119, 11, 32)),
    ],
)
def test_cityscapes_classes_have_their_published_ids_and_colours(label_id, train_id, name, colour):
    labels = label_set("cityscapes")

    assert labels.label_map[label_id] == train_id
    assert (labels.classes[train_id], labels.colours[train_id]) == (name, colour)


@pytest.mark.parametrize(
    ("label", "name", "colour"),
    [
        (1, "wall", (120, 120, 120)),
        (3, "sky", (6, 230, 230)),
        (13, "person", (150, 5, 61)),
        (21, "car", (0, 102, 200)),
        (59, "screen door", (0, 173, 255)),
        (131, "screen", (0, 204, 255)),
        (150, "flag", (92, 0, 255)),
    ],
)
def test_ade20k_classes_have_their_published_labels_and_colours(label, name, colour):
    labels = label_set("ade20k")

    class_id = labels.label_map[label]

    assert (labels.classes[class_id], labels.colours[class_id]) == (name, colour)


@pytest.mark.parametrize(
    ("name", "class_id", "class_name"),
    [
        ("voc", 15, "person"),
        ("person_part", 0, "background"),
        ("person_part", 6, "lower legs"),
        ("pascal_context_59", 20, "bag"),
        ("pascal_context_60", 42, "curtain"),
        ("nyuv2_40", 37, "other structure"),
        ("sun_rgbd_37", 36, "bag"),
        ("camvid", 10, "bicyclist"),
    ],
)
def test_classes_stand_in_the_published_order(name, class_id, class_name):
    assert label_set(name).classes[class_id] == class_name
