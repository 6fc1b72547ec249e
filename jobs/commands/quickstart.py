"""The command `quickstart`: a small data set, segmented with the built-in model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.exits import exit_with
from jobs.commands.options import AsJson
from jobs.commands.run import show_report, shown_run

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay


def quickstart_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder for scenes, spec, results and pictures.")
    ] = Path("quickstart"),
    images: Annotated[int, typer.Option(min=1, max=1000, help="Scenes to make.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Make a small labelled data set, segment it with the built-in model, show the result."""
    exit_with(lambda display: _quickstart(folder, images, display, as_json=as_json))


def _quickstart(folder: Path, images: int, display: "ProgressDisplay", *, as_json: bool) -> int:
    from jobs.quickstart import quickstart

    spec = quickstart.prepare(folder, images)
    report = shown_run(spec, display)
    pictures = quickstart.draw_pictures(folder, spec)
    show_report(report, as_json=as_json)
    if not as_json:
        print(f"Pictures:  {pictures}")
        print(f"Run again: refinenet-batch run {quickstart.spec_path(folder)}")
    return report.exit_code
