"""How far a run is, for people: a bar on a terminal, log lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from pipeline.progress import DatasetProgress
from pipeline.receipt import Receipt

_LINE_INTERVAL_S = 5.0


class ProgressDisplay:
    """Show a run's progress on standard error; an observer of `pipeline.run`.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    def __init__(self) -> None:
        self.started = False
        self._console = Console(stderr=True)
        self._done = self._total = self._failed = self._done_before = 0
        self._start = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("segmenting"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images · {task.fields[speed]:.1f} images/s · {task.fields[failed]} failed"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, visible=False, speed=0.0, failed=0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Say what is planned and what is done already."""
        for dataset in datasets:
            done = (
                f"; {dataset.committed_images} images in {dataset.committed_parts} parts are "
                "committed already"
                if dataset.committed_parts
                else ""
            )
            self._line(f"{dataset.name}: {dataset.images} images in {dataset.parts} parts{done}")
        self._total = sum(dataset.images for dataset in datasets)
        self._done = self._done_before = sum(dataset.committed_images for dataset in datasets)
        self._start = self._last_line = time.monotonic()
        self.started = True
        if self._done < self._total:
            self._bar.update(self._task, total=self._total, completed=self._done, visible=True)

    def committed(self, receipt: Receipt) -> None:
        """Count a part's images."""
        self._done += receipt.part.images
        self._failed += sum(receipt.failed.values())
        self._bar.update(
            self._task, completed=self._done, speed=self._images_per_s(), failed=self._failed
        )
        now = time.monotonic()
        if self._bar.disable and (
            now - self._last_line >= _LINE_INTERVAL_S or self._done >= self._total
        ):
            self._last_line = now
            left_s = (self._total - self._done) / max(self._images_per_s(), 1e-9)
            self._line(
                f"{self._done}/{self._total} images, {self._images_per_s():.1f} images/s, "
                f"{self._failed} failed, {left_s:.0f} s left"
            )

    def _images_per_s(self) -> float:
        return (self._done - self._done_before) / max(time.monotonic() - self._start, 1e-9)

    def _line(self, text: str) -> None:
        if self._bar.disable:
            text = f"{time.strftime('%H:%M:%S')} {text}"
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - a log line, never wrapped
        else:
            self._console.print(text, highlight=False)
