"""NASNet-Mobile against the published implementation's features and parameter names."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from refinenet_core.networks.nasnet import NASNetMobileEncoder, published_modules

TAPS = ("cell_stem_0", "cell_3", "cell_9", "cell_15")


def load_parity(shared):
    """Return the reference's weights and image maker, facts and features."""
    spec = importlib.util.spec_from_file_location("weights", shared / "parity" / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    facts = json.loads((shared / "parity" / "nasnet_a_mobile.json").read_text())
    return weights, facts, np.load(shared / "parity" / "nasnet_a_mobile.npz")


def load_reference_weights(encoder, weights, facts):
    """Give the encoder the reference's weights, translated by the table, strictly."""
    table = published_modules()
    state_dict = {}
    for name, values in weights.state_dict(facts["state_dict"]).items():
        module, _, leaf = name.rpartition(".")
        state_dict[f"{table[module]}.{leaf}"] = torch.from_numpy(values)
    encoder.load_state_dict(state_dict)


def modules_with_state(encoder):
    """Return the names of the modules that hold parameters or buffers."""
    return {name.rpartition(".")[0] for name in encoder.state_dict()}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(96, 128), (128, 160)])
def test_features_equal_the_published_implementations(shared, size, memory_format):
    weights, facts, references = load_parity(shared)
    encoder = NASNetMobileEncoder().eval()
    load_reference_weights(encoder, weights, facts)
    encoder.to(memory_format=memory_format)
    pixels_HWC = ((weights.image(*size) / 255 - 0.5) / 0.5).astype(np.float32)
    pixels_BCHW = torch.from_numpy(pixels_HWC).permute(2, 0, 1)[None]

    with torch.inference_mode():
        features = encoder(pixels_BCHW.contiguous(memory_format=memory_format))

    assert len(references.files) == 2 * len(TAPS)  # every stored size is among the parameters
    for tap, feature in zip(TAPS, features, strict=True):
        expected = references[f"{tap}_{size[0]}x{size[1]}"]
        found = feature[0, :64].numpy()  # the reference keeps no more channels
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_table_pairs_every_published_module_with_one_of_ours(shared):
    _, facts, _ = load_parity(shared)
    published = {name.rpartition(".")[0] for name in facts["state_dict"]}

    table = published_modules()

    assert set(table) == published
    assert len(set(table.values())) == len(table)
    assert set(table.values()) == modules_with_state(NASNetMobileEncoder())


def test_paired_parameters_have_one_shape(shared):
    _, facts, _ = load_parity(shared)
    ours = NASNetMobileEncoder().state_dict()

    table = published_modules()

    for name, shape in facts["state_dict"].items():
        module, _, leaf = name.rpartition(".")
        assert list(ours[f"{table[module]}.{leaf}"].shape) == shape, name


def test_the_parameter_count_is_the_published_one():
    encoder = NASNetMobileEncoder()

    assert sum(parameter.numel() for parameter in encoder.parameters()) == 4_232_978


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_features_have_the_declared_channels_and_strides(size):
    encoder = NASNetMobileEncoder().eval()

    with torch.inference_mode():
        features = encoder(torch.zeros(2, 3, *size))

    assert [feature.shape for feature in features] == [
        (2, channels, size[0] // stride, size[1] // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


@pytest.mark.parametrize("size", [(33, 64), (64, 48), (1, 1)])
def test_a_size_that_is_not_a_multiple_of_32_is_refused(size):
    encoder = NASNetMobileEncoder().eval()

    with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]} pixels.*multiples of 32"):
        encoder(torch.zeros(1, 3, *size))


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    encoder = NASNetMobileEncoder()

    features = encoder(torch.randn(2, 3, 64, 64))
    sum(feature.square().sum() for feature in features).backward()

    without = [
        name
        for name, parameter in encoder.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []
