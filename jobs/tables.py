"""The tables that commands print."""

import math
from collections.abc import Sequence

from rich.table import Table

from pipeline import RunReport
from pipeline.progress import DatasetProgress
from pipeline.uris import shown


def plan_table(job: str, output: str, datasets: Sequence[DatasetProgress]) -> Table:
    """Return what is planned and what is committed, a row per dataset."""
    table = Table(title=f"Plan of {job} → {shown(output)}", title_justify="left")
    table.add_column("dataset", overflow="fold")
    for name in ("images", "parts", "images committed", "parts committed"):
        table.add_column(name, justify="right")
    for dataset in datasets:
        table.add_row(
            dataset.name,
            str(dataset.images),
            str(dataset.parts),
            str(dataset.committed_images),
            str(dataset.committed_parts),
        )
    return table


def report_table(report: RunReport) -> Table:
    """Return scores, counts and speed, a row per dataset."""
    table = Table(title=f"{report.job}", title_justify="left")
    table.add_column("dataset", overflow="fold")
    for name in ("mIoU", "pixel accuracy", "ok", "failed", "planned", "images/s"):
        table.add_column(name, justify="right")
    for dataset in report.datasets:
        scores = dataset.scores
        table.add_row(
            dataset.name,
            _score(scores.miou if scores else math.nan),
            _score(scores.pixel_accuracy if scores else math.nan),
            str(dataset.ok),
            str(dataset.failed),
            str(dataset.planned),
            _speed(report, dataset.name),
        )
    return table


def _speed(report: RunReport, dataset: str) -> str:
    images = report.timings.images.get(dataset, 0)
    return f"{images / report.timings.wall_s:.2f}" if images else "-"


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5f}"
