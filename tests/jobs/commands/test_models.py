"""The command `models`: the networks with what they cost."""

import json

from in_process import invoke
from refinenet_core import list_models

MODEL = "refinenet_lw_mobilenet_v2"


def test_models_are_listed_with_their_costs_at_a_size():
    table = invoke("models", "--size", "625x468")
    wrong = invoke("models", "--size", "big")

    assert table.exit_code == 0
    [line] = [line for line in table.stdout.splitlines() if MODEL in line]
    assert "3.285" in line
    assert "19.4" in line
    assert wrong.exit_code == 2
    assert "WIDTHxHEIGHT" in wrong.stderr


def test_every_network_is_in_the_list():
    costs = json.loads(invoke("models", "--size", "64x32", "--json").stdout)

    parameters = {row["name"]: row["parameters"] for row in costs["models"]}
    assert list(parameters) == list(list_models())
    assert parameters[MODEL] == 3_284_565
    assert (costs["width"], costs["height"]) == (64, 32)
