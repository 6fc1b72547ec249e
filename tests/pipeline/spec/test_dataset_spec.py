"""Data sets in a spec: what fits together, and what is said of what does not."""

import pytest

from pipeline.spec.dataset_spec import DatasetSpec, PredictionsSpec


def test_another_ignore_index_holds_for_what_a_built_in_set_maps_to_void():
    dataset = {"name": "d", "images": "i", "classes": "cityscapes", "ignore_index": 200}

    labels = DatasetSpec(**dataset).label_set()

    assert labels.ignore_index == labels.label_map[0] == 200
    assert labels.label_map[7] == 0


def dataset(classes, labels, **fields):
    return DatasetSpec(name="d", images="/x/*.png", classes=classes, labels=labels, **fields)


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        ("ade20k", {"encoding": "colours"}, "'road' and 'skyscraper' share the colour"),
        ("voc", {"encoding": "colours", "ignore_colours": [[0, 0, 0]]},
         r"ignore_colours has \(0, 0, 0\), which is the colour of 'background'"),
        ("camvid", {"label_map": {0: 11, 1: 12, 2: 255}},
         r"label_map gives \[12, 255\], none of the 11 classes \(0 to 10\) and not ignore_index"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_classes_are_a_fault_of_the_spec(classes, labels, message):
    with pytest.raises(ValueError, match=message):
        dataset(classes, labels)


def test_a_label_map_survives_the_spec_as_json():
    spec = dataset("camvid", {"label_map": {7: 3, 0: 11}})

    again = DatasetSpec.model_validate(spec.model_dump(mode="json"))

    assert again == spec


def test_targets_are_said_once():
    columns = {"image": "image", "target": "target"}

    with pytest.raises(ValueError, match="give one"):
        DatasetSpec(
            name="d", format="parquet", images="/t", targets="/x/{stem}.png", columns=columns
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": {"image": "jpg"}}, "members does not go with format 'folder'; it is for tars"),
        ({"columns": {"image": "i"}}, "columns does not go with format 'folder'"),
        ({"targets": "/t/{stem}.png", "format": "webdataset"}, "targets does not go with format"),
        ({"classes": ["a", "b"], "ignore_index": 1}, "ignore_index is 1, which is the class 'b'"),
        (
            {"labels": {"label_map": {0: 1}, "reduce_zero_label": True}},
            "label_map and reduce_zero_label exclude each other",
        ),
        (
            {"labels": {"ignore_colours": [[0, 0, 0]]}},
            "ignore_colours is for targets with `encoding: colours`",
        ),
    ],
)
def test_fields_that_exclude_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DatasetSpec(**{"name": "d", "images": "/x", **fields})


@pytest.mark.parametrize(
    ("fields", "has_targets"),
    [
        ({}, False),
        ({"targets": "/t/{stem}.png"}, True),
        ({"format": "webdataset", "members": {"image": "jpg"}}, False),
        ({"format": "webdataset", "members": {"target": "png"}}, True),
        ({"format": "manifest", "columns": {"target": "label"}}, True),
    ],
)
def test_targets_may_be_told_in_several_places(fields, has_targets):
    assert DatasetSpec(name="d", images="/x", **fields).has_targets is has_targets


def test_masks_are_taken_for_class_ids_unless_they_are_as_published():
    assert PredictionsSpec().as_labels().encoding == "indices"
    assert PredictionsSpec(encoding="published").as_labels().encoding is None


def test_classes_that_are_not_known_yet_are_told_of():
    with pytest.raises(ValueError, match="dataset 'd' has no classes yet"):
        DatasetSpec(name="d", images="/x").label_set()
