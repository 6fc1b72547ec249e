"""How many pixels a network looks at, against what goes through a real one."""

import numpy as np
import pytest

from refinenet_core import MultiScalePredictor, build_model, model_cost
from refinenet_core.prediction.network_pixels import network_pixels


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((61, 83), {"scales": (0.5, 1.0, 1.3)}),
        ((61, 83), {"scales": (0.5, 1.0), "flip": True}),
        ((40, 30), {"scales": (0.4,), "protocol": "authors"}),
        ((60, 90), {"scales": (0.2, 0.4), "protocol": "fixed"}),
        ((700, 800), {"scales": (0.5, 1.0), "max_pixels_per_pass": 1 << 19}),
    ],
    ids=["scales", "flip", "authors", "fixed", "tiles"],
)
def test_they_are_those_that_go_through_a_real_network(size, settings):
    predictor = MultiScalePredictor(build_model("refinenet_lw_mobilenet_v2", 2), **settings)
    seen = []
    predictor.network.register_forward_pre_hook(
        lambda _, pixels: seen.append(pixels[0].shape[2] * pixels[0].shape[3])
    )

    predictor.predict([np.zeros((*size, 3), dtype=np.uint8)])

    assert sum(seen) == network_pixels(*size, **settings)


def test_poolings_cost_operations():
    costs = [model_cost("refinenet_lw50", 64, 64, poolings=poolings) for poolings in (2, 4)]

    assert costs[0].flops < costs[1].flops
    assert costs[0].parameters < costs[1].parameters
