"""The command `export`: masks as pictures, annotations or tars."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json
from jobs.commands.options import AsJson

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay


def export_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    target: Annotated[str, typer.Argument(help="Folder for the files: a path or URL.")],
    export_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="labels|palette|overlay|coco|geojson|webdataset",
            help="PNGs of class ids, PNGs in colours, images half in colours, run lengths (JSON), "
            "polygons, or tars of PNGs.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        list[str] | None, typer.Option(help="Dataset to export; by default all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the masks of an output as pictures, annotations or tars.

    The same command again writes the same files. Exit codes: 0 every mask is exported; 3 parts,
    or images for overlays, are missing; 2 output, target or command wrong.
    """
    asked = {"export_format": export_format, "datasets": dataset or ()}
    exit_with(lambda display: _export(output, target, asked, display, as_json=as_json))


def _export(
    output: str, target: str, asked: dict[str, Any], display: "ProgressDisplay", *, as_json: bool
) -> int:
    from jobs.display.export_lines import ExportLines, exported_lines
    from pipeline import export
    from pipeline.export.exported_rows import ExportProgress

    lines = ExportLines(lambda line: print(line, file=sys.stderr))

    def observe(progress: ExportProgress) -> None:
        display.started = True  # what fails from here on is the same command's to finish
        lines(progress)

    report = export(output, target, **asked, observer=observe)
    if as_json:
        print_json(report.to_json())
    else:
        print("\n".join(exported_lines(report)))
    return report.exit_code
