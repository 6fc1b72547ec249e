"""The command `export`: how far it is, and what came of it, in words."""

import time
from collections.abc import Callable

from pipeline import ExportReport
from pipeline.export.exported_rows import ExportedDataset, ExportProgress

_LINE_INTERVAL_S = 2.0


class ExportLines:
    """Say how far an export is, at most every two seconds and at each dataset's end.

    Args:
        say: Is given a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last_line = time.monotonic()

    def __call__(self, progress: ExportProgress) -> None:
        """Take note of a part."""
        now = time.monotonic()
        if progress.parts == progress.of_parts or now - self._last_line >= _LINE_INTERVAL_S:
            self._last_line = now
            self._say(
                f"{progress.dataset}: {progress.parts}/{progress.of_parts} parts, "
                f"{progress.masks} masks"
            )


def exported_lines(report: ExportReport) -> list[str]:
    """Return what an export has written and what not, to be printed as it is."""
    lines = [line for dataset in report.datasets for line in _dataset_lines(dataset)]
    return [*lines, f"Exported:  {report.target}"]


def _dataset_lines(dataset: ExportedDataset) -> list[str]:
    name = dataset.name
    lines = [f"{name}: {dataset.masks} masks exported"]
    if dataset.without_mask:
        statuses = sorted(dataset.without_mask.items())
        rows = ", ".join(f"{number} {status}" for status, number in statuses)
        lines.append(f"{name}: left out, for they have no mask: {rows}")
    if dataset.without_image:
        lines.append(
            f"{name}: left out, for the image is gone or has changed: {dataset.without_image}; "
            "put the images back and run the command again"
        )
    if dataset.renamed:
        lines.append(f"{name}: {dataset.renamed} files have another name than their key")
    if dataset.repeated:
        lines.append(
            f"{name}: {dataset.repeated} files have a suffix, for others would have their name"
        )
    lines += [f"  {key!r} is {file}" for key, file in dataset.examples]
    if dataset.missing_parts:
        lines.append(
            f"{name}: {dataset.missing_parts} parts or more are not there yet; run the job again, "
            "then this command"
        )
    return lines
