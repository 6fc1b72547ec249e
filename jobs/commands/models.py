"""The command `models`: the networks and what they cost."""

from typing import Annotated

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson, image_size


def models_command(
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Image size in pixels.")
    ] = "512x512",
    as_json: AsJson = False,
) -> None:
    """List the networks: encoder, parameters, GFLOP and activation memory at a size, stride."""
    width, height = image_size(size)
    exit_with(lambda _: _models(width, height, as_json=as_json))


def _models(width: int, height: int, *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.network_tables import models_table
    from refinenet_core import list_models, model_cost

    costs = [model_cost(name, height, width) for name in list_models()]
    if as_json:
        print_json({"width": width, "height": height, "models": list(map(asdict, costs))})
    else:
        print_table(models_table(costs, height, width))
    return 0
