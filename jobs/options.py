"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
