"""The command `report`: an output's summary and page again, or a comparison of two outputs."""

from typing import Annotated

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson
from jobs.commands.run import show_report


def report_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    other: Annotated[
        str | None,
        typer.Argument(help="A second job's output folder, to be compared with the first."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Where a comparison is written: by default the second's comparison.html."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an output's summary and report.html again, from its tables alone; or compare two.

    Exit codes: those of the run that the tables are of; 0 for a comparison; 2 no output of ours.
    """
    if other is None:
        exit_with(lambda _: _report(output, to, as_json=as_json))
    else:
        exit_with(lambda _: _compare(output, other, to, as_json=as_json))


def _report(output: str, to: str | None, *, as_json: bool) -> int:
    from pipeline.errors import SpecError
    from pipeline.report.write_report import remake_report

    if to is not None:
        raise SpecError("report", ("--to is for a comparison; give two outputs",))
    report = remake_report(output)
    show_report(report, as_json=as_json)
    return report.exit_code


def _compare(first: str, second: str, to: str | None, *, as_json: bool) -> int:
    from jobs.display.score_tables import comparison_table
    from pipeline.report.comparison_page import verdict, write_comparison
    from pipeline.scores.comparison import compare
    from pipeline.storage.uris import shown

    comparison = compare(first, second)
    page = write_comparison(comparison, to)
    if as_json:
        print_json(comparison.to_json())
        return 0
    for dataset in comparison.datasets:
        print_table(comparison_table(dataset))
        print(verdict(dataset))
    print(f"Report:    {shown(page)}")
    return 0
