"""The tables of a report's scores: by rule, by class, by category."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from pipeline.scores.comparison import ComparedDataset
from pipeline.scores.summary import DatasetSummary

_SHOWN = 4  # absent classes that are named; the others are counted


def rules_table(summaries: Sequence[DatasetSummary]) -> Table:
    """Return the mIoU under each rule, a row per dataset and rule."""
    table = _table("mIoU of the same masks under each rule")
    table.add_column("dataset", overflow="fold")
    table.add_column("rule", no_wrap=True)
    table.add_column("mIoU", justify="right")
    table.add_column("mean of", justify="right", no_wrap=True)
    table.add_column("absent classes", overflow="fold")
    for summary in summaries:
        for rule, score in summary.scores.rules.items() if summary.scores else ():
            what = "images" if rule == "image_mean" else "classes"
            table.add_row(
                summary.name,
                rule,
                fraction(score.miou),
                f"{score.num_averaged} {what}",
                Text(_named(summary.absent(score))),
            )
    return table


def classes_table(summary: DatasetSummary) -> Table:
    """Return a dataset's scores per class, or its class shares if it has no targets."""
    table = _table(f"Classes of {summary.name}")
    table.add_column("class", overflow="fold")
    columns = {"mask_share": "of the masks"}
    if summary.scores:
        columns = {**_SCORES, **columns}
    if summary.boundary_iou is not None:
        columns = {"iou": "IoU", "boundary_iou": "boundary", **columns}
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in summary.class_rows():
        table.add_row(Text(row["class_name"]), *_cells(row, columns))
    return table


def comparison_table(compared: ComparedDataset) -> Table:
    """Return the scores of a dataset in two runs, and how they differ."""
    content = compared.to_json()
    table = _table(f"{compared.name}: IoU on the {content['paired_images']} images of both")
    table.add_column("class", overflow="fold")
    for title in ("first", "second", "difference", "interval"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = {f"mIoU ({content['rule']})": content["miou"]}
    rows |= {row["class_name"]: row["iou"] for row in content["classes"]}
    for name, found in rows.items():
        ends = [_signed(found[end]) for end in ("low", "high")]
        table.add_row(
            Text(name),
            fraction(found["first"]),
            fraction(found["second"]),
            _signed(found["difference"]),
            "-" if found["low"] is None else " to ".join(ends),
        )
    return table


def categories_table(summary: DatasetSummary) -> Table:
    """Return the scores of a dataset's categories; without rows where it has none."""
    table = _table(f"Categories of {summary.name}")
    table.add_column("category")
    for title in _SCORES.values():
        table.add_column(title, justify="right")
    for row in summary.category_rows():
        table.add_row(row["name"], *_cells(row, _SCORES))
    if summary.categories:
        _, found = summary.categories
        table.caption = f"mIoU over categories: {fraction(found.miou)}"
    return table


def fraction(value: float | None) -> str:
    """Return a score as people read it, "-" where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.5f}"


_SCORES = {
    "iou": "IoU",
    "accuracy": "accuracy",
    "precision": "precision",
    "f1": "F1",
    "target_pixels": "target pixels",
}


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))


def _cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    return [_cell(name, row[name]) for name in columns]


def _cell(name: str, value: float | None) -> str:
    if name == "target_pixels":
        return f"{value:,}"
    if name == "mask_share":
        return "-" if value is None else f"{value:.2%}"
    return fraction(value)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.5f}"


def _named(classes: Sequence[str]) -> str:
    named = ", ".join(classes[:_SHOWN]) or "none"
    more = len(classes) - _SHOWN
    return f"{named} and {more} more" if more > 0 else named
