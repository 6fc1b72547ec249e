"""Parameter names: the published files' and ours, and what the names tell of a file."""

import pytest

from parity import load_parity
from refinenet_core import build_model, published_state_dict
from refinenet_core.weights.parameter_names import (
    count_poolings,
    head_name,
    identify_model,
    is_other_branch,
    published_modules,
)

PUBLISHED = ["refinenet101", "refinenet_lw50", "refinenet_lw101", "refinenet_lw_mobilenet_v2"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_are_a_bijection_with_ours_and_tell_the_model(shared, name):
    _, facts, _ = load_parity(shared, name)
    ours = build_model(name, facts["num_classes"], device="meta").state_dict()

    table = published_modules(name)
    renamed = {}
    for published, shape in facts["state_dict"].items():
        module, _, leaf = published.rpartition(".")
        renamed[f"{table[module]}.{leaf}"] = tuple(shape)

    assert renamed == {key: tuple(tensor.shape) for key, tensor in ours.items()}
    assert len(set(table.values())) == len(table)
    assert len(renamed) == len(facts["state_dict"])
    assert identify_model(facts["state_dict"]) == name


@pytest.mark.parametrize(
    "name",
    [*PUBLISHED, "refinenet50", "refinenet152", "refinenet_lw152"],
)
def test_the_names_of_a_file_tell_its_model(name):
    names = published_state_dict(build_model(name, num_classes=2, device="meta"))

    assert identify_model(names) == name
    assert f"{head_name(name)}.weight" in names


def test_the_names_of_other_networks_tell_what_they_are_or_nothing():
    assert identify_model(["conv1.weight", "fc.weight"]) == "an ImageNet classifier"
    assert identify_model(["encoder.conv1.weight"]) is None


@pytest.mark.parametrize("name", ["refinenet_lw_mobilenet_v2", "refinenet_lw50"])
@pytest.mark.parametrize("poolings", [1, 2, 4])
def test_the_names_of_a_file_tell_how_many_poolings_its_chains_have(name, poolings):
    modules = published_modules(name, poolings=poolings)

    assert count_poolings(f"{module}.weight" for module in modules) == poolings
    assert count_poolings(["conv1.weight"]) == 4


def test_only_the_multi_task_network_has_branches_that_are_left_out():
    name = "refinenet_multitask_mobilenet_v2"

    assert is_other_branch(name, "depth.bias")
    assert is_other_branch(name, "pre_normal.weight")
    assert not is_other_branch(name, "segm.bias")
    assert not is_other_branch("refinenet_lw_mobilenet_v2", "depth.bias")


def test_a_model_that_was_never_published_has_no_table():
    with pytest.raises(ValueError, match="no table of published names for model 'refinenet_lw_na"):
        published_modules("refinenet_lw_nasnet_mobile")
