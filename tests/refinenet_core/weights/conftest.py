"""What tests of weights share."""

import pytest
import torch

from refinenet_core import build_model, published_state_dict
from weights import MODEL


@pytest.fixture(scope="package")
def weights():
    """Random weights of a small network, under the published names."""
    torch.manual_seed(0)
    return published_state_dict(build_model(MODEL, num_classes=4))
