"""What networks cost, against published tables and a real run."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from measured_cost import measure_cost, measured_operations
from refinenet_core import build_model, list_models, model_cost
from refinenet_core.networks import costs, models


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

    cost = model_cost(name, 120, 160)

    # The CPU's kernels take some memory of their own, the more in proportion the smaller the image.
    assert cost.activation_bytes <= peak < 1.1 * cost.activation_bytes


def test_every_model_that_can_be_built_is_in_the_table_and_no_other():
    assert list_models() == sorted(models._BUILDERS)  # noqa: SLF001


@pytest.mark.parametrize("name", list_models())
def test_the_table_says_what_pytorch_counts(name):
    given = {"num_classes": 7, "poolings": 3}

    cost, measured = model_cost(name, 97, 131, **given), measure_cost(name, 97, 131, **given)

    assert measured_operations(name) == costs._NETWORKS[name].operations  # noqa: SLF001
    assert (cost.encoder, cost.parameters, cost.flops, cost.stride) == (
        measured.encoder,
        measured.parameters,
        measured.flops,
        measured.stride,
    )
    assert cost.activation_bytes == pytest.approx(measured.activation_bytes, rel=0.03)


def test_operations_are_the_published_counters():
    assert model_cost("refinenet_lw50", 468, 625).flops / 1e9 == pytest.approx(73.2, rel=0.01)


def test_a_size_without_pixels_is_refused():
    with pytest.raises(ValueError, match="size is 0x5"):
        model_cost("refinenet_lw50", 5, 0)
