"""How far a run is, for people: a bar on a terminal, log lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from pipeline import RunReport
from pipeline.progress import DatasetProgress, Observer
from pipeline.receipt import Receipt

_LINE_INTERVAL_S = 5.0


class ProgressDisplay(Observer, Protocol):
    """What shows a run's progress in some form.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    started: bool

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def failed(self, message: str) -> None:
        """Say why a command ends early."""


class TextProgress:
    """Show a run's progress on standard error; an observer of `pipeline.run`.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    def __init__(self) -> None:
        self.started = False
        self._console = Console(stderr=True)
        self._done = self._failed = 0
        self._total: int | None = 0  # None if only reading the shards tells
        self._first: tuple[float, int] | None = None  # when the first part came, what was done then
        self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("segmenting"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images · {task.fields[state]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, visible=False, state="starting")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Say what is planned and what is done already."""
        for dataset in datasets:
            self._line(_plan_line(dataset))
        images = [dataset.images for dataset in datasets if dataset.images is not None]
        self._total = sum(images) if len(images) == len(datasets) else None
        self._done = sum(dataset.committed_images or 0 for dataset in datasets)
        self._last_line = time.monotonic()
        self.started = True
        if self._total is None or self._done < self._total:
            self._bar.update(self._task, total=self._total, completed=self._done, visible=True)

    def committed(self, receipt: Receipt) -> None:
        """Count a part's images."""
        now = time.monotonic()
        self._done += receipt.part.images
        self._failed += sum(receipt.failed.values())
        self._first = self._first or (now, self._done)
        state = f"{self._speed(now)}{self._failed} failed"
        self._bar.update(self._task, completed=self._done, state=state)
        due = now - self._last_line >= _LINE_INTERVAL_S or self._done == self._total
        if self._bar.disable and due:
            self._last_line = now
            total = "" if self._total is None else f"/{self._total}"
            self._line(f"{self._done}{total} images, {state}{self._time_left(now)}")

    def isolating(self, shards: int) -> None:
        """Say that a second pass begins."""
        self._line(f"parts of {shards} shards failed: segmenting them image by image where need be")

    def stopping(self, limit_s: float) -> None:
        """Say that the run ends soon."""
        self._line(
            f"stopping: parts in flight are committed, for {limit_s:.0f} s at most; "
            "interrupt again to stop at once"
        )

    def finished(self, report: RunReport) -> None:
        """Say nothing: the report is printed."""

    def failed(self, message: str) -> None:
        """Say why a command ends early."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - as it is, never wrapped

    def _images_per_s(self, now: float) -> float:
        """Return the speed since the first part came: what starting took says nothing of it."""
        if self._first is None or now <= self._first[0]:
            return 0.0
        return (self._done - self._first[1]) / (now - self._first[0])

    def _speed(self, now: float) -> str:
        images_per_s = self._images_per_s(now)
        return f"{images_per_s:.1f} images/s, " if images_per_s else ""

    def _time_left(self, now: float) -> str:
        images_per_s = self._images_per_s(now)
        if not images_per_s or self._total is None:
            return ""
        return f", {(self._total - self._done) / images_per_s:.0f} s left"

    def _line(self, text: str) -> None:
        if self._bar.disable:
            text = f"{time.strftime('%H:%M:%S')} {text}"
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - a log line, never wrapped
        else:
            self._console.print(text, highlight=False)


def _plan_line(dataset: DatasetProgress) -> str:
    planned = f"{dataset.shards} shards"
    if dataset.images is not None:
        planned = f"{dataset.images} images in "
        planned += f"{dataset.shards} shards" if dataset.parts is None else f"{dataset.parts} parts"
    if not dataset.committed_parts:
        return f"{dataset.name}: {planned}"
    done = f"{dataset.committed_parts} parts"
    if dataset.committed_images is not None:
        done = f"{dataset.committed_images} images in {done}"
    return f"{dataset.name}: {planned}; {done} are committed already"
