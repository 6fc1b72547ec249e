"""The command `models`: the networks with what they cost."""

import json

from in_process import invoke
from refinenet_core import list_models

MODEL = "refinenet_lw_mobilenet_v2"


def test_models_are_listed_with_their_costs_at_a_size():
    table = invoke("models", "--size", "625x468")
    costs = json.loads(invoke("models", "--size", "625x468", "--json").stdout)
    wrong = invoke("models", "--size", "big")

    assert table.exit_code == 0
    [row] = [row for row in costs["models"] if row["name"] == MODEL]
    assert row["parameters"] == 3_284_565
    assert "3.285" in table.stdout
    assert "19.4" in table.stdout
    assert wrong.exit_code == 2
    assert "WIDTHxHEIGHT" in wrong.stderr


def test_every_network_is_in_the_list():
    costs = json.loads(invoke("models", "--size", "64x32", "--json").stdout)

    assert [row["name"] for row in costs["models"]] == list(list_models())
    assert (costs["width"], costs["height"]) == (64, 32)
