"""The checkpoint of a spec: what it tells is filled in, and what nobody tells is asked for."""

import pytest

from pipeline import JobSpec
from pipeline.errors import SpecError
from pipeline.spec.checkpoint import complete_spec, load_model
from refinenet_core import CheckpointError, CheckpointInfo
from refinenet_core.labels.palettes import voc_colours

MODEL = "refinenet_lw_mobilenet_v2"


def spec(model=None, **dataset):
    """Return a spec that says no more than it must."""
    return JobSpec.from_mapping(
        {
            "name": "j",
            "model": {"checkpoint": "/w.pth", **(model or {})},
            "datasets": [{"name": "d", "images": "/x/*.png", **dataset}],
            "output": "/o",
        }
    )


def told(**facts):
    """Return what a checkpoint of two classes says of itself."""
    plain = {
        "source": "/w.pth",
        "container": "safetensors",
        "ours": True,
        "sha256": "0" * 64,
        "model": MODEL,
        "looks_like": MODEL,
        "num_classes": 2,
        "poolings": 2,
        "improved_pooling": True,
        "dtype": "float32",
        "num_parameters": 1,
        "classes": ("sky", "road"),
        "colours": ((1, 2, 3), (4, 5, 6)),
        "ignore_index": 11,
    }
    return CheckpointInfo(**{**plain, **facts})


def test_what_a_spec_leaves_out_is_taken_from_the_checkpoint():
    complete = complete_spec(spec(), told())

    labels = complete.datasets[0].label_set()
    assert (complete.model.name, complete.model.num_classes) == (MODEL, 2)
    assert (complete.model.poolings, complete.model.improved_pooling) == (2, True)
    assert labels.classes == ("sky", "road")
    assert labels.colours == ((1, 2, 3), (4, 5, 6))
    assert labels.ignore_index == 11


def test_what_a_spec_says_goes_before_what_the_checkpoint_says():
    asked = spec(model={"poolings": 4}, classes=["a", "b"], ignore_index=7)

    complete = complete_spec(asked, told())

    assert complete.model.poolings == 4
    assert complete.datasets[0].label_set().classes == ("a", "b")
    assert complete.datasets[0].label_set().ignore_index == 7


def test_classes_without_colours_get_vocs():
    complete = complete_spec(spec(), told(colours=None))

    assert complete.datasets[0].label_set().colours == tuple(voc_colours(2))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"model": None}, r"model\.name: missing, and /w\.pth does not tell it .it looks like ref"),
        ({"num_classes": None}, r"model\.num_classes: missing"),
        ({"classes": None}, r"datasets\[0\]\.classes: missing"),
        ({"model": "unet"}, f"model.name: unknown model 'unet'; known are: .*{MODEL}"),
        ({"num_classes": 3}, "has 2 classes, model.num_classes is 3"),
    ],
)
def test_what_neither_tells_or_what_they_contradict_in_is_refused(facts, message):
    with pytest.raises(SpecError, match=message):
        complete_spec(spec(), told(**facts))


def test_a_network_is_built_and_loaded_or_the_checkpoints_location_is_named(checkpoint):
    data = checkpoint.read_bytes()
    published = told(
        num_classes=4, poolings=4, improved_pooling=False, classes=tuple("abcd"), colours=None
    )

    model, report = load_model(complete_spec(spec(), published), data)

    assert model.head.weight.shape[0] == 4
    assert report.num_parameters == sum(p.numel() for p in model.parameters())
    with pytest.raises(CheckpointError, match=r"/w\.pth: .*is for 4 classes, the model has 2"):
        load_model(complete_spec(spec(model={"poolings": 4}), told()), data)
