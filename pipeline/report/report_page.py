"""The report's page, `report.html`: what is good, what is bad, and why, for people."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from pipeline.datasets.plan import DatasetPlan
from pipeline.execution.bottleneck import bottleneck
from pipeline.output.output_folder import Output
from pipeline.report.charts import class_bars, confusion_map, miou_histogram, share_bars, stage_bars
from pipeline.report.gallery import FailedImages, Gallery, Picture, PictureGroup
from pipeline.report.provenance import read_provenance
from pipeline.report.render_page import render_page
from pipeline.report.thumbnails import distinct
from pipeline.scores.run_report import RunReport
from pipeline.scores.summary import DatasetSummary
from pipeline.scores.worst_confusions import Confusion, worst_confusions
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.uris import shown
from refinenet_core import LabelSet

_SECTIONS: Final = 24  # of datasets; the page is bounded however many there are
_PICTURES: Final = 24  # of a kind, over all datasets
_PICTURE_BYTES: Final = 12_000_000  # of the file, over all datasets
_CONFUSIONS: Final = 8
_NARROW_CLASSES: Final = 30  # at most, for the map to stand beside other charts


@dataclass(frozen=True)
class LegendClass:
    """A class in a legend: its name, and its colour as CSS and as a number, 0xRRGGBB."""

    name: str
    hex: str
    code: int


@dataclass(frozen=True)
class Verdict:
    """What became of a run: a word, whether it is "good", "warn" or "bad", and what to do."""

    word: str
    tone: str
    says: str


@dataclass(frozen=True)
class ReportSection:
    """What the page shows of a dataset, or of several together.

    Attributes:
        anchor: Its `id` in the page.
        summary: Its scores.
        bars: Its classes, by IoU or by share.
        unscored: Classes without a bar, where there are scores.
        confusion_map: The heat map, where there are scores.
        wide_map: Whether that takes the page's whole width.
        histogram: Of the images' own mIoU, where there is any.
        confusions: The worst.
        legend: The classes with their colours.
        groups: The gallery.
        failures: Failed images.
        left_out: Pictures that are left out for the file's size.
    """

    anchor: str
    summary: DatasetSummary
    bars: Sequence[Markup]
    unscored: Sequence[str]
    confusion_map: Markup | None
    wide_map: bool
    histogram: Markup | None
    confusions: Sequence[Confusion]
    legend: Sequence[LegendClass]
    groups: Sequence[PictureGroup]
    failures: Sequence[FailedImages]
    left_out: int


def render_report(
    report: RunReport, spec: JobSpec, plans: Sequence[DatasetPlan], output: Output
) -> bytes:
    """Return `report.html`, one file that needs no other.

    Its figures are those of `summary.json`. The images and targets of its gallery are read again
    from where they were; what cannot be read is said beside the picture.

    Args:
        report: The scores.
        spec: The job.
        plans: The datasets' plans, in the spec's order.
        output: The output folder.

    Raises:
        OutputError: A part file is damaged.
        StorageError: A part file cannot be read.
    """
    timings = report.timings.rounded()
    seconds = {name.removesuffix("_s"): spent for name, spent in asdict(timings.stage_s).items()}
    content = {
        "report": report,
        "timings": timings,
        "images_per_s": round(timings.images_per_s, 3),
        "bottleneck": bottleneck(timings),
        "output": shown(report.output),
        "verdict": _verdict(report),
        "sections": _sections(report, spec, plans, output),
        "unshown": [summary.name for summary in report.datasets[_SECTIONS:]],
        "stages": stage_bars(seconds) if any(seconds.values()) else None,
        "origin": read_provenance(output),
    }
    return render_page("report.html.j2", content)


def _sections(
    report: RunReport, spec: JobSpec, plans: Sequence[DatasetPlan], output: Output
) -> list[ReportSection]:
    """Return a section for each dataset, with its gallery, and for each combination."""
    shown_datasets = min(len(plans), _SECTIONS)
    most, most_bytes = max(1, _PICTURES // shown_datasets), _PICTURE_BYTES // shown_datasets
    sections = []
    for place in range(shown_datasets):
        summary, highlights = report.datasets[place], report.highlights[place]
        gallery = Gallery(output, spec.datasets[place], plans[place])
        groups = gallery.groups(highlights, most=most)
        kept = cut_to_size(groups, most_bytes)
        sections.append(
            _section(
                f"dataset-{place}",
                summary,
                groups=kept,
                failures=gallery.failures(highlights, summary.counts.statuses),
                left_out=_count(groups) - _count(kept),
            )
        )
    combined = enumerate(report.combined[:_SECTIONS])
    return [*sections, *(_section(f"combined-{k}", summary) for k, summary in combined)]


def make_legend(labels: LabelSet) -> list[LegendClass]:
    """Return a legend of classes, each of another colour."""
    return [
        LegendClass(name, "#{:02x}{:02x}{:02x}".format(*colour), int.from_bytes(bytes(colour)))
        for name, colour in zip(labels.classes, distinct(labels.colours), strict=True)
    ]


def cut_to_size(groups: Sequence[PictureGroup], most_bytes: int) -> list[PictureGroup]:
    """Return the groups with as many pictures of each as fit, the first of each first."""
    ranks = max((len(group.pictures) for group in groups), default=0)
    kept: list[list[Picture]] = [[] for _ in groups]
    left_bytes = most_bytes
    for rank in range(ranks):
        for group, pictures in zip(groups, kept, strict=True):
            if rank < len(group.pictures):
                size_bytes = group.pictures[rank].size_bytes
                if size_bytes <= left_bytes:
                    left_bytes -= size_bytes
                    pictures.append(group.pictures[rank])
    return [
        PictureGroup(group.title, group.order, pictures)
        for group, pictures in zip(groups, kept, strict=True)
    ]


def _section(
    anchor: str,
    summary: DatasetSummary,
    *,
    groups: Sequence[PictureGroup] = (),
    failures: Sequence[FailedImages] = (),
    left_out: int = 0,
) -> ReportSection:
    labels, counts, found = summary.labels, summary.counts, summary.scores
    classes = labels.classes
    if found:
        bars = class_bars(classes, found.iou, labels.colours)
    else:
        shares = [row["mask_share"] or 0.0 for row in summary.class_rows()]
        bars = share_bars(classes, shares, labels.colours)
    return ReportSection(
        anchor=anchor,
        summary=summary,
        bars=bars,
        unscored=[n for n, iou in zip(classes, found.iou, strict=True) if math.isnan(iou)]
        if found
        else [],
        confusion_map=confusion_map(counts.confusion, classes) if found else None,
        wide_map=len(classes) > _NARROW_CLASSES,
        histogram=_histogram(summary),
        confusions=worst_confusions(counts.confusion, classes, most=_CONFUSIONS),
        legend=make_legend(labels),
        groups=[group for group in groups if group.pictures],
        failures=failures,
        left_out=left_out,
    )


def _histogram(summary: DatasetSummary) -> Markup | None:
    mious = summary.counts.image_mious
    defined = mious[~np.isnan(mious)]
    if not defined.size:
        return None
    return miou_histogram(*summary.miou_histogram(), float(np.median(defined)))


def _verdict(report: RunReport) -> Verdict:
    if report.missing_parts:
        number, foreign = len(report.missing_parts), len(report.foreign_parts)
        others = f" {foreign} of them are there, but of another job." if foreign else ""
        return Verdict(
            "incomplete",
            "bad",
            f"{number} parts are missing; the same command again makes them.{others}",
        )
    if report.broken_shards:
        number = len(report.broken_shards)
        first = shown(report.broken_shards[0])
        return Verdict(
            "incomplete",
            "bad",
            f"{number} shards are lost or broke off, and images with them; the first is {first}. "
            "Mend the files, and run the same command again.",
        )
    if not report.within_tolerance:
        return Verdict(
            "above tolerance", "warn", "More images failed than the spec's `tolerance` allows."
        )
    return Verdict("complete", "good", "")


def _count(groups: Sequence[PictureGroup]) -> int:
    return sum(len(group.pictures) for group in groups)
