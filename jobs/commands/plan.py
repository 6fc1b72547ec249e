"""The command `plan`: what a run would do and take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson, Limit, SpecFile, load_spec

if TYPE_CHECKING:
    from pipeline import JobSpec


def plan_command(
    spec: SpecFile,
    limit: Limit = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure the speed here, on some of the job's images."),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="Take the speed from what `benchmark --json` has printed."),
    ] = None,
    price_per_gpu_hour: Annotated[
        float | None,
        typer.Option(min=0, help="Also tell the cost; on CPUs it is the price of an actor-hour."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and take, in images, parts, pixels and operations; write nothing.

    With a speed also hours and cost; margins are 95 % intervals that the sample of images leaves.
    """
    how = {"calibration": calibrate, "record": record, "price_per_hour": price_per_gpu_hour}
    exit_with(lambda _: _plan(load_spec(spec, limit), how, as_json=as_json))


def _plan(spec: "JobSpec", how: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.estimate_tables import estimate_table
    from jobs.display.run_tables import plan_table
    from pipeline.estimate.estimate_job import forecast

    found = forecast(spec, **how)
    if as_json:
        datasets = [asdict(dataset) for dataset in found.datasets]
        estimate = found.estimate.to_json()
        print_json({"job": spec.name, "datasets": datasets, "estimate": estimate})
    else:
        print_table(plan_table(spec.name, spec.output, found.datasets))
        print_table(estimate_table(found.estimate))
    return 0
