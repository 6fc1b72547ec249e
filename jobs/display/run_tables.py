"""The tables that commands print."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from rich.box import SIMPLE
from rich.console import Group
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from jobs.display.score_tables import categories_table, classes_table, fraction, rules_table
from pipeline import RunReport, VerifyReport
from pipeline.execution.bottleneck import bottleneck
from pipeline.output.progress import DatasetProgress
from pipeline.scores.summary import DatasetSummary
from pipeline.storage.uris import shown
from refinenet_core import Scores

_SHOWN = 5  # files of a kind that are named


def plan_table(job: str, output: str, datasets: Sequence[DatasetProgress]) -> Table:
    """Return what is planned and what is committed, a row per dataset."""
    table = Table(title=f"Plan of {job} → {shown(output)}", title_justify="left")
    table.add_column("dataset", overflow="fold")
    for name in ("size", "shards", "images", "parts", "committed"):
        table.add_column(name, justify="right")
    for dataset in datasets:
        table.add_row(
            dataset.name,
            decimal(dataset.size_bytes),
            str(dataset.shards),
            _known(dataset.images),
            _known(dataset.parts),
            f"{_known(dataset.committed_images)} images, {dataset.committed_parts} parts",
        )
    if any(dataset.images is None for dataset in datasets):
        table.caption = "?: only reading the shards tells"
    return table


def report_table(report: RunReport) -> Group:
    """Return what a run's masks score, and what the run did: the content of `summary.json`."""
    summaries = [*report.datasets, *report.combined]
    tables: list[Table] = [_datasets_table(report, summaries)]
    if any(summary.scores for summary in summaries):
        tables.append(rules_table(summaries))
    for summary in summaries:
        tables.append(classes_table(summary))
        if summary.categories:
            tables.append(categories_table(summary))
    return Group(*tables, *(Text(line) for line in _report_lines(report, summaries)))


def shortfall_lines(report: RunReport) -> list[str]:
    """Return what keeps a run from exit code 0, to be printed as it is, and what to do."""
    foreign = {uri.rpartition("/")[2] for uri in report.foreign_parts}
    lines = [f"missing:   {name}" for name in report.missing_parts if name not in foreign][:_SHOWN]
    lines += [f"foreign:   {shown(uri)}" for uri in report.foreign_parts[:_SHOWN]]
    if report.foreign_parts:
        lines.append(
            f"{len(report.foreign_parts)} part files are of another job and are not counted; run "
            "this job again, which deletes them and makes the parts"
        )
    if report.missing_parts:
        lines.append(
            f"{len(report.missing_parts)} parts are missing; the same command tries them again"
        )
    lines += [f"broken:    {shown(name)}" for name in report.broken_shards[:_SHOWN]]
    if report.broken_shards:
        lines.append(
            f"{len(report.broken_shards)} shards are lost or broke off: images are missing that "
            "no tolerance covers. The last row of each says why; mend the file, and run the job "
            "again"
        )
    elif not report.within_tolerance:
        failed = sum(dataset.failed for dataset in report.datasets)
        lines.append(
            f"{failed} images failed, more than `tolerance` allows; the mask table's `status` and "
            "`error` say why"
        )
    return lines


def _datasets_table(report: RunReport, summaries: Sequence[DatasetSummary]) -> Table:
    """Return the headline, a row per dataset."""
    table = Table(title=f"{report.job}", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("dataset", overflow="fold")
    table.add_column("mIoU", justify="right", no_wrap=True)
    table.add_column("interval", justify="right", no_wrap=True)
    for name in ("pixel accuracy", "ok", "failed", "planned", "images/s"):
        table.add_column(name, justify="right")
    for summary in summaries:
        scores, interval = summary.scores, summary.interval
        table.add_row(
            summary.name,
            fraction(scores.miou if scores else math.nan),
            f"{interval.low:.4f} to {interval.high:.4f}" if interval else "-",
            fraction(scores.pixel_accuracy if scores else math.nan),
            str(summary.ok),
            str(summary.failed),
            _known(summary.planned),
            _speed(report, summary.datasets),
        )
    return table


def _report_lines(report: RunReport, summaries: Sequence[DatasetSummary]) -> list[str]:
    """Return what is said of the datasets in words, and how long the stages took."""
    lines = []
    for summary in summaries:
        if summary.scores:
            lines.append(f"{summary.name}: {_spread(summary, summary.scores)}")
        if not math.isnan(summary.counts.mean_confidence):
            lines.append(f"{summary.name}: mean confidence {summary.counts.mean_confidence:.4f}")
        statuses = sorted(summary.counts.statuses.items())
        failed = [f"{number} {status}" for status, number in statuses if status != "ok"]
        if failed:
            lines.append(f"{summary.name}: failed: {', '.join(failed)}")
    stages = asdict(report.timings.stage_s).items()
    if any(seconds for _, seconds in stages):
        times = ", ".join(f"{name.removesuffix('_s')} {seconds:.1f}" for name, seconds in stages)
        lines.append(
            f"Seconds:   {times}, added up over workers; {report.timings.wall_s:.1f} in all"
        )
    worst = bottleneck(report.timings)
    if worst:
        lines.append(worst)
    return lines


def _spread(summary: DatasetSummary, scores: Scores) -> str:
    """Say what the headline's mIoU is, and how the images' own are spread."""
    interval, images = summary.interval, summary.counts.image_mious
    parts = [f"mIoU by the rule {scores.rule}"]
    if interval:
        parts.append(f"its {interval.level:.0%} interval from {interval.resamples} resamples")
    if summary.boundary_iou is not None:
        parts.append(f"mean boundary IoU {fraction(summary.mean_boundary_iou)}")
    defined = images[~np.isnan(images)]
    if defined.size:
        low, middle, high = np.quantile(defined, (0.05, 0.5, 0.95))
        parts.append(f"images' own: median {middle:.4f}, 90% within {low:.4f} to {high:.4f}")
    return "; ".join(parts)


def verified_lines(report: VerifyReport) -> list[str]:
    """Return what is right and what is wrong, to be printed as it is: paths must not be folded."""
    lines = [f"note: {note}" for note in report.notes]
    for finding in report.findings:
        lines += [f"{finding.file}", f"  {finding.problem}", f"  → {finding.remedy}"]
    lines += [
        f"{dataset.name}: {dataset.parts} parts are right, {dataset.rows} rows, "
        f"{dataset.images} images"
        for dataset in report.datasets
    ]
    verdict = f"{len(report.findings)} files are missing or wrong"
    return [*lines, verdict if report.findings else "nothing is missing, nothing is wrong"]


def _speed(report: RunReport, datasets: Sequence[str]) -> str:
    images = sum(report.timings.images.get(dataset, 0) for dataset in datasets)
    return f"{images / report.timings.wall_s:.2f}" if images else "-"


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)
