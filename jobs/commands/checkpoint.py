"""The commands `checkpoint inspect` and `checkpoint convert`: weights files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from refinenet_core import CheckpointInfo


def inspect_command(
    file: Annotated[str, typer.Argument(help="Weights file: a path or URL.")],
    as_json: AsJson = False,
) -> None:
    """Say what a weights file is: kind, model, classes, precision, what else it tells."""
    exit_with(lambda _: _inspect(file, as_json=as_json))


def convert_command(
    file: Annotated[str, typer.Argument(help="Weights file: a path or URL.")],
    out: Annotated[Path, typer.Argument(help="File to write, .safetensors.")],
    model: Annotated[
        str | None, typer.Option(help="Model; by default what the file tells.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Built-in label set of its classes.")] = None,
    scales: Annotated[
        list[float] | None, typer.Option("--scale", help="Scale that --miou was measured with.")
    ] = None,
    miou: Annotated[float | None, typer.Option(min=0, max=1, help="Published mIoU.")] = None,
    improved_pooling: Annotated[
        bool, typer.Option(help="The chained pooling convolves first; no file tells.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a weights file as one of ours, which says all that a job needs."""

    def command(_: "ProgressDisplay") -> int:
        from jobs.commands.convert_checkpoint import Facts, convert

        facts = Facts(model, classes, tuple(scales) if scales else None, miou, improved_pooling)
        return _show_checkpoint(convert(file, out, facts), as_json=as_json)

    exit_with(command)


def _inspect(file: str, *, as_json: bool) -> int:
    from jobs.commands.convert_checkpoint import inspect_location

    return _show_checkpoint(inspect_location(file), as_json=as_json)


def _show_checkpoint(info: "CheckpointInfo", *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.network_tables import checkpoint_table

    if as_json:
        print_json(asdict(info))
    else:
        print_table(checkpoint_table(info))
    return 0
