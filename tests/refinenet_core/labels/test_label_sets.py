"""Label sets against what the data sets publish."""

import pickle

import numpy as np
import pytest
from PIL import Image

from refinenet_core import label_set, list_label_sets

SIZES = {
    "ade20k": (150, 255),
    "camvid": (11, 11),
    "cityscapes": (19, 255),
    "nyuv2_40": (40, 255),
    "pascal_context_59": (59, 255),
    "pascal_context_60": (60, 255),
    "person_part": (7, 255),
    "sun_rgbd_37": (37, 255),
    "voc": (21, 255),
}


def test_the_label_sets_are_the_ones_listed_here():
    assert list_label_sets() == sorted(SIZES)
    assert [label_set(name).name for name in SIZES] == list(SIZES)


def test_an_unknown_label_set_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"kittens.*ade20k, camvid, cityscapes"):
        label_set("kittens")


@pytest.mark.parametrize("name", SIZES)
def test_a_label_set_names_each_class_once_and_keeps_void_outside_them(name):
    labels = label_set(name)

    assert (len(labels.classes), labels.ignore_index) == SIZES[name]
    assert len(set(labels.classes)) == len(labels.colours) == len(labels.classes)
    assert all(word == word.strip().lower() for word in labels.classes)
    assert labels.ignore_index not in range(len(labels.classes))


@pytest.mark.parametrize(
    ("name", "count"), [("voc", 1), ("camvid", 1), ("cityscapes", 10), ("ade20k", 0)]
)
def test_colours_of_unlabelled_pixels_are_no_classs_own(name, count):
    labels = label_set(name)

    assert len(set(labels.ignore_colours)) == len(labels.ignore_colours) == count
    assert not set(labels.ignore_colours) & set(labels.colours)


@pytest.mark.parametrize("name", SIZES)
def test_a_label_map_reaches_every_class_from_one_mask_value(name):
    labels = label_set(name)

    reached = [value for value in labels.label_map.values() if value != labels.ignore_index]

    assert bool(labels.label_map) == (labels.encoding in {"indices_plus_one", "label_ids"})
    assert sorted(reached) == (list(range(len(labels.classes))) if labels.label_map else [])
    assert set(labels.label_map) <= set(range(256))


def test_cityscapes_evaluates_19_of_its_34_label_ids():
    labels = label_set("cityscapes")

    void = {label for label, train_id in labels.label_map.items() if train_id == 255}

    assert labels.encoding == "label_ids"
    assert set(labels.label_map) == set(range(34))
    assert void == {0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30}


@pytest.mark.parametrize("name", ["ade20k", "nyuv2_40", "pascal_context_59", "sun_rgbd_37"])
def test_masks_with_void_as_zero_are_shifted_by_one(name):
    labels = label_set(name)
    num_classes = len(labels.classes)

    assert labels.encoding == "indices_plus_one"
    assert list(labels.label_map.items()) == [
        (0, 255),
        *((class_id + 1, class_id) for class_id in range(num_classes)),
    ]


def test_pascal_contexts_60_classes_are_background_and_the_59():
    assert label_set("pascal_context_60").classes == (
        "background",
        *label_set("pascal_context_59").classes,
    )


@pytest.mark.parametrize(
    ("name", "path", "mode"),
    [
        ("voc", "voc/SegmentationClass/2007_000033.png", "P"),
        ("camvid", "camvid/testannot/*.png", "L"),
    ],
)
def test_real_masks_hold_what_the_encoding_says(shared, name, path, mode):
    labels = label_set(name)
    mask = Image.open(min((shared / "data").glob(path)))

    values = set(np.unique(mask).tolist())

    assert mask.mode == mode
    assert labels.encoding == {"P": "palette", "L": "indices"}[mode]
    assert values <= {*range(len(labels.classes)), labels.ignore_index}


def test_a_label_set_survives_pickling_and_can_be_a_key():
    labels = label_set("cityscapes")

    again = pickle.loads(pickle.dumps(labels))  # noqa: S301  # our own bytes

    assert again == labels
    assert hash(again) == hash(labels)
