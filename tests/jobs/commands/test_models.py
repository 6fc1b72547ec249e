"""The command `models`: the networks with what they cost."""

import json
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("arguments", [["models"], ["verify", "nowhere"], ["report", "nowhere"]])
def test_commands_that_compute_nothing_import_neither_pytorch_nor_ray(arguments, tmp_path):
    """They once took seconds to say a line."""
    program = (
        "import sys; from jobs.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: print({'torch', 'ray', 'triton'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "set()", done.stderr
