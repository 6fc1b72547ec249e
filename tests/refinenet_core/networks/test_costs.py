"""What networks cost, against published tables and a real run."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from refinenet_core import build_model, list_models, measure_cost


@pytest.mark.filterwarnings("ignore:Warning. Profiler clears events")  # PyTorch 2.11, of itself
@pytest.mark.parametrize("name", ["refinenet_lw_mobilenet_v2", "refinenet_lw50"])
def test_activation_memory_is_what_a_real_forward_pass_takes(name):
    model = build_model(name).eval()
    image = torch.zeros(1, 3, 120, 160)
    with torch.inference_mode():
        model(image)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            model(image)
    live = peak = image.nbytes
    events = (e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]")
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)

    cost = measure_cost(name, 120, 160)

    # The CPU's kernels take some memory of their own, the more in proportion the smaller the image.
    assert cost.activation_bytes <= peak < 1.1 * cost.activation_bytes


def test_every_model_is_measured_without_memory_of_its_own():
    costs = [measure_cost(name, 64, 96) for name in list_models()]

    assert [cost.name for cost in costs] == list_models()
    assert all(cost.flops > 0 and cost.activation_bytes > 4 * 3 * 64 * 96 for cost in costs)
    assert {cost.encoder for cost in costs} == {"ResNet", "TwoScale", "MobileNetV2", "NASNetMobile"}


def test_operations_are_the_published_counters():
    assert measure_cost("refinenet_lw50", 468, 625).flops / 1e9 == pytest.approx(73.2, rel=0.01)


def test_a_size_without_pixels_is_refused():
    with pytest.raises(ValueError, match="size is 0x5"):
        measure_cost("refinenet_lw50", 5, 0)
