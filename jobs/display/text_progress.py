"""How far a run is, for people: a bar on a terminal, log lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from jobs.display.pace import Pace

if TYPE_CHECKING:  # of which some commands need nothing
    from pipeline import RunReport
    from pipeline.output.progress import DatasetProgress
    from pipeline.stages.receipt import Receipt

_LINE_INTERVAL_S = 5.0


class TextProgress:
    """Show a run's progress on standard error; an observer of `pipeline.run`.

    On a terminal each dataset at work has a bar, which becomes a line once it is complete.
    Elsewhere a line is written every few seconds for each dataset that has got on.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    def __init__(self) -> None:
        self.started = False
        self._console = Console(stderr=True)
        self._paces: dict[str, Pace] = {}
        self._shown: set[str] = set()
        self._silent: set[str] = set()  # datasets that have got on since their last line
        self._last_line = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images  {task.fields[state]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal or self._console.is_dumb_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def planned(self, datasets: "Sequence[DatasetProgress]") -> None:
        """Say what is planned and what is done already."""
        for dataset in datasets:
            self._line(_plan_line(dataset))
            pace = Pace(dataset.images, dataset.committed_images or 0)
            self._paces[dataset.name] = pace
            self._tasks[dataset.name] = self._bars.add_task(
                dataset.name, total=pace.total, completed=pace.done, visible=False, state=""
            )
        self._last_line = time.monotonic()
        self.started = True

    def committed(self, receipt: "Receipt") -> None:
        """Count a part's images."""
        now = time.monotonic()
        name, part = receipt.part.dataset, receipt.part
        pace, task = self._paces[name], self._tasks[name]
        pace.add(part.images, receipt.failed, now, again=receipt.replaces)
        self._silent.add(name)
        appears = name not in self._shown  # at once: a small dataset is soon complete
        self._shown.add(name)
        self._bars.update(
            task,
            completed=pace.done,
            state=pace.describe(now),
            visible=not pace.complete,
            refresh=appears,
        )
        if pace.complete:
            self._say(name, now)
        elif self._bars.disable and now - self._last_line >= _LINE_INTERVAL_S:
            for each in sorted(self._silent):
                self._say(each, now)

    def _say(self, name: str, now: float) -> None:
        pace = self._paces[name]
        total = "" if pace.total is None else f"/{pace.total}"
        words = pace.describe(now)
        self._line(f"{name}: {pace.done}{total} images{f', {words}' if words else ''}")
        self._silent.discard(name)
        self._last_line = now

    def executing(self, executor: str, reason: str) -> None:
        """Say what runs the stages."""
        where = "in this process and a child" if executor == "local" else "on Ray"
        self._line(f"running {where}: {reason}")

    def isolating(self, shards: int) -> None:
        """Say that a second pass begins."""
        self._line(f"parts of {shards} shards failed: segmenting them image by image where need be")

    def stopping(self, limit_s: float) -> None:
        """Say that the run ends soon."""
        self._line(
            f"stopping: parts in flight are committed, for {limit_s:.0f} s at most; "
            "interrupt again to stop at once"
        )

    def finished(self, report: "RunReport") -> None:
        """Say nothing: the report is printed."""

    def failed(self, message: str) -> None:
        """Say why a command ends early."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - as it is, never wrapped

    def _line(self, text: str) -> None:
        if self._bars.disable:
            text = f"{time.strftime('%H:%M:%S')} {text}"
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - a log line, never wrapped
        else:
            self._console.print(text, highlight=False, markup=False)


def _plan_line(dataset: "DatasetProgress") -> str:
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
