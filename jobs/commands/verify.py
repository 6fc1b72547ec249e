"""The command `verify`: every part of an output is read."""

from typing import Annotated

import typer

from jobs.commands.exits import exit_with, print_json
from jobs.commands.options import AsJson


def verify_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    as_json: AsJson = False,
) -> None:
    """Read every part of an output; say what is wrong or missing, and how to mend it.

    Exit codes: 0 nothing is wrong; 3 parts are missing or wrong; 2 it is no output of ours.
    """
    exit_with(lambda _: _verify(output, as_json=as_json))


def _verify(output: str, *, as_json: bool) -> int:
    from jobs.display.run_tables import verified_lines
    from pipeline import verify

    report = verify(output)
    if as_json:
        print_json(report.to_json())
    else:
        print("\n".join(verified_lines(report)))
    return report.exit_code
