"""The command `benchmark-scaling`: the pipeline without a network, with actors that sleep."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson


def benchmark_scaling_command(
    actors: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Number of actors, repeatable; by default 1, 2, 4, 8 and 16."),
    ] = None,
    sleep_ms: Annotated[
        float, typer.Option(min=0.1, help="What an actor sleeps for an image.")
    ] = 250,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Images of each run; by default 60 s of work for each actor."),
    ] = None,
    part_images: Annotated[int, typer.Option(min=1, help="Images of a part.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Measure the pipeline without a network: actors that sleep, against as many times one's speed.

    All else is real: small JPEGs in a temporary folder, planning, reading, decoding, Ray, commits.
    """
    asked = {"image_s": sleep_ms / 1000, "images": images, "part_images": part_images}
    exit_with(lambda _: _benchmark_scaling(actors or (1, 2, 4, 8, 16), asked, as_json=as_json))


def _benchmark_scaling(actors: Sequence[int], asked: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.benchmarks.scaling import record_scaling
    from jobs.display.scaling_table import scaling_table

    with redirect_stdout(sys.stderr):  # Ray's messages
        record = record_scaling(actors, **asked)
    if as_json:
        print_json(asdict(record))
    else:
        print_table(scaling_table(record))
    return 0
