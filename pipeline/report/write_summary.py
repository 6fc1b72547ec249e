"""A report for programs: `summary.json`, `summary.parquet`, and confusion matrices as CSV."""

import csv
import io
import json
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.execution.bottleneck import bottleneck
from pipeline.execution.timings import RunTimings
from pipeline.scores.run_report import RunReport
from pipeline.scores.summary import DatasetSummary, defined
from refinenet_core import RuleScore

SUMMARY_VERSION = 2

SUMMARY_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("class", pa.int32()),
        ("class_name", pa.string()),
        ("iou", pa.float64()),
        ("accuracy", pa.float64()),
        ("precision", pa.float64()),
        ("f1", pa.float64()),
        ("boundary_iou", pa.float64()),
        ("target_pixels", pa.int64()),
        ("predicted_pixels", pa.int64()),
        ("mask_pixels", pa.int64()),
        ("mask_share", pa.float64()),
    ]
)

_QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def report_content(report: RunReport) -> dict[str, Any]:
    """Return the content of `summary.json`, whose fields `docs/scores.md` documents.

    It is strict JSON; undefined scores are null.

    All but `last_run` follows from the mask tables alone.
    """
    return {
        "summary_version": SUMMARY_VERSION,
        "job": report.job,
        "output": report.output,
        **({"share": str(report.share)} if report.share else {}),
        "complete": report.complete,
        "within_tolerance": report.within_tolerance,
        "missing_parts": list(report.missing_parts),
        "foreign_parts": list(report.foreign_parts),
        "broken_shards": list(report.broken_shards),
        "datasets": [dataset_content(dataset) for dataset in report.datasets],
        "combined": [dataset_content(summary) for summary in report.combined],
        "last_run": _last_run(report.timings.rounded()),
    }


def dataset_content(summary: DatasetSummary) -> dict[str, Any]:
    """Return a dataset's entry in `summary.json`, whose fields `docs/scores.md` documents."""
    found = summary.scores
    return {
        "name": summary.name,
        "datasets": list(summary.datasets),
        "complete": summary.complete,
        "images": {
            "planned": summary.planned,
            "committed": summary.counts.images,
            "ok": summary.ok,
            "failed": summary.failed,
            "scored": summary.counts.scored_images,
        },
        "statuses": dict(sorted(summary.counts.statuses.items())),
        "flags": dict(sorted(summary.counts.flags.items())),
        "rule": found.rule if found else None,
        "miou": defined(found.miou) if found else None,
        "miou_interval": vars(summary.interval) if summary.interval else None,
        "rules": {rule: _rule(summary, score) for rule, score in found.rules.items()}
        if found
        else None,
        "pixel_accuracy": defined(found.pixel_accuracy) if found else None,
        "mean_accuracy": defined(found.mean_accuracy) if found else None,
        "frequency_weighted_iou": defined(found.frequency_weighted_iou) if found else None,
        "mean_boundary_iou": defined(summary.mean_boundary_iou),
        "image_miou": _distribution(summary) if found else None,
        "mean_confidence": defined(summary.counts.mean_confidence),
        "ignore_index": summary.labels.ignore_index if len(summary.datasets) == 1 else None,
        "ignored_pixels": summary.counts.ignored_pixels,
        "classes": [
            {name: value for name, value in row.items() if name != "dataset"}
            for row in summary.class_rows()
        ],
        "categories": _categories(summary),
        "confusion": summary.counts.confusion.tolist() if found else None,
    }


def summary_json(report: RunReport) -> bytes:
    """Return `summary.json`."""
    return (json.dumps(report_content(report), indent=2, allow_nan=False) + "\n").encode()


def summary_parquet(report: RunReport) -> bytes:
    """Return `summary.parquet`: a row per dataset and class."""
    rows = [row for dataset in report.datasets for row in dataset.class_rows()]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA), buffer)
    return buffer.getvalue()


def confusion_csv(summary: DatasetSummary) -> bytes:
    """Return the confusion matrix as CSV: a row per target class, a column per prediction."""
    classes = summary.labels.classes
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["target", *classes, "outside"])
    rows = zip(classes, summary.counts.confusion.tolist(), strict=True)
    writer.writerows([name, *pixels] for name, pixels in rows)
    return text.getvalue().encode()


def _last_run(timings: RunTimings) -> dict[str, Any]:
    return {
        "images": dict(timings.images),
        "wall_s": timings.wall_s,
        "images_per_s": round(timings.images_per_s, 3),
        "storage_retries": timings.storage_retries,
        "stage_s": asdict(timings.stage_s),
        "actor_s": asdict(timings.actor_s),
        "startup_s": timings.startup_s,
        "making_s": timings.making_s,
        "finishing_s": timings.finishing_s,
        "bottleneck": bottleneck(timings),
    }


def _rule(summary: DatasetSummary, score: RuleScore) -> dict[str, Any]:
    return {
        "miou": defined(score.miou),
        "averaged": score.num_averaged,
        "absent": summary.absent(score),
    }


def _distribution(summary: DatasetSummary) -> dict[str, Any]:
    """Return quantiles and histogram of the images' own mIoU, which is ascending."""
    mious = summary.counts.image_mious
    known = mious[~np.isnan(mious)]
    quantiles = np.quantile(known, _QUANTILES).tolist() if known.size else []
    edges, images = summary.miou_histogram()
    return {
        "images": int(known.size),
        "undefined": int(mious.size - known.size),
        "quantiles": dict(zip(map(str, _QUANTILES), quantiles, strict=False)),
        "histogram": {"edges": edges, "images": images},
    }


def _categories(summary: DatasetSummary) -> dict[str, Any] | None:
    if summary.categories is None:
        return None
    _, found = summary.categories
    return {"miou": defined(found.miou), "classes": summary.category_rows()}
