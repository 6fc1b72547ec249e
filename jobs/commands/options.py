"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

# Torch and Ray take seconds to import: each command imports what it needs when it runs.
if TYPE_CHECKING:
    from pipeline import JobSpec

SpecFile = Annotated[Path, typer.Argument(help="Job spec, a YAML file.", show_default=False)]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Take the first N images of each dataset, as a job of its own."),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="List the datasets again; add what is new.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Make parts with failed images again.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete an earlier job's results; start afresh.")
]
ShareText = Annotated[
    str | None,
    typer.Option(
        "--share",
        metavar="K/N",
        help="Make the K-th of N shares of the shards alone; start a run for each. The one that "
        "ends last writes the summary.",
    ),
]
RequireEnv = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="End before any work unless this environment variable is set on every node; "
        "repeatable. A name, never a value.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


class LogFormat(StrEnum):
    """Lines and a bar for people, or a JSON object a line for programs."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Progress for people, or as a JSON object a line."),
]


def load_spec(path: Path, limit: int | None) -> "JobSpec":
    """Return the job in a spec, or that of its first images."""
    from pipeline import JobSpec

    spec = JobSpec.from_yaml(path)
    return spec.limited(limit) if limit else spec


def image_size(text: str) -> tuple[int, int]:
    """Return the width and height in WIDTHxHEIGHT.

    Raises:
        typer.BadParameter: It is none.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size; write WIDTHxHEIGHT, for example 512x512")
    return int(width), int(height)
