"""What an actor knows of a data set: its classes, their colours, and how its targets are read."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DecodeError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.stages.sample import KnownDataset


def known(**fields):
    spec = DatasetSpec(name="d", images="i/*.png", targets="t/{stem}.png", **fields)
    return KnownDataset(spec, boundary_iou=False)


def png(size):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros(size, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_masks_are_drawn_in_the_colours_of_the_classes():
    classes = [{"name": "a", "colour": (1, 2, 3)}, {"name": "b", "colour": (4, 5, 6)}]

    dataset = known(classes=classes)

    assert list(dataset.palette[:6]) == [1, 2, 3, 4, 5, 6]
    assert dataset.labels.classes == ("a", "b")


@pytest.mark.parametrize(("fields", "word"), [({}, "image"), ({"predictions": {}}, "prediction")])
def test_a_target_of_another_size_is_told_by_what_it_is_the_target_of(fields, word):
    dataset = known(classes=["a", "b"], **fields)

    with pytest.raises(DecodeError, match=rf"\b{word}\b") as caught:
        dataset.targets.read(png((2, 3)), (3, 3))

    assert caught.value.status == "bad_target"
