"""The networks against the published implementations' logits and parameter counts."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from refinenet_core import build_model, list_models, load_checkpoint
from refinenet_core.preprocessing import normalise

MODEL = "refinenet_lw_mobilenet_v2"


def load_parity(shared):
    """Return the reference's weights, image maker and logits."""
    spec = importlib.util.spec_from_file_location("weights", shared / "parity" / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    facts = json.loads((shared / "parity" / f"{MODEL}.json").read_text())
    return weights, facts, np.load(shared / "parity" / f"{MODEL}.npz")


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_logits_equal_the_published_implementations(shared, tmp_path, memory_format):
    weights, facts, references = load_parity(shared)
    state_dict = weights.state_dict(facts["state_dict"])
    torch.save({k: torch.from_numpy(v) for k, v in state_dict.items()}, tmp_path / "w.pth")
    model = build_model(MODEL, facts["num_classes"])

    load_checkpoint(model, tmp_path / "w.pth")

    model.eval().to(memory_format=memory_format)
    assert len(references.files) == 2
    for name in references.files:
        height, width = map(int, name.removeprefix("logits_").split("x"))
        pixels = normalise([weights.image(height, width)], torch.device("cpu"))
        with torch.inference_mode():
            logits = model(pixels.contiguous(memory_format=memory_format))[0].numpy()
        expected = references[name]
        assert logits.shape == expected.shape
        assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_parameter_count_is_the_published_one():
    model = build_model(MODEL, num_classes=21)

    assert sum(parameter.numel() for parameter in model.parameters()) == 3_284_565


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 47), (64, 64)])
def test_logits_stand_at_stride_four_rounded_up_for_any_size(size):
    model = build_model(MODEL, num_classes=3).eval()

    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, *size))

    assert logits.shape == (2, 3, -(-size[0] // 4), -(-size[1] // 4))


def test_an_unknown_model_or_class_count_is_refused_by_name():
    with pytest.raises(ValueError, match=r"refinenet999.*refinenet_lw_mobilenet_v2"):
        build_model("refinenet999")
    with pytest.raises(ValueError, match=r"256.*between 1 and 255"):
        build_model(MODEL, num_classes=256)
    assert list_models() == [MODEL]
