"""Networks with folded normalisations give the logits of those without."""

import pytest
import torch
from torch import nn

from refinenet_core import build_model
from refinenet_core.prediction.batch_norm_folding import folded_copy


def trained_looking(name):
    """Return a network whose normalisations are not the identity."""
    torch.manual_seed(0)
    model = build_model(name, 5).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.6, 1.6)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("refinenet_lw_mobilenet_v2", 0),
        ("refinenet_multitask_mobilenet_v2", 0),
        ("refinenet_lw50", 0),
        ("refinenet_lw_nasnet_mobile", 4),
    ],
)
def test_folding_changes_no_logit(name, left):
    model = trained_looking(name)
    images = torch.randn(2, 3, 65, 97)

    folded = folded_copy(model)
    with torch.inference_mode():
        expected, found = model(images), folded(images)

    norms = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == left  # of NASNet: those that follow two joined convolutions
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_network_that_is_not_ours_is_copied_as_it_is():
    other = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    folded = folded_copy(other)

    assert isinstance(folded[1], nn.BatchNorm2d)
    assert folded is not other
