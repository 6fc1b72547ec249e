"""How far a run is, for programs: a JSON object a line on standard error."""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr
from dataclasses import asdict
from datetime import UTC, datetime
from io import TextIOBase
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

if TYPE_CHECKING:  # of which some commands need nothing
    from pipeline import RunReport
    from pipeline.output.progress import DatasetProgress
    from pipeline.stages.receipt import Receipt

Level = Literal["info", "warning", "error"]


class JsonLines:
    """Write a run's events to standard error as `docs/metrics.md` documents them.

    Within the block, whatever else writes to `sys.stderr` comes out as lines of the same form.

    Attributes:
        started: Whether the run has got as far as its plan: what fails later can be resumed.
    """

    def __init__(self) -> None:
        self.started = False
        self._stream: TextIO = sys.stderr
        self._around = ExitStack()

    def __enter__(self) -> Self:
        messages = self._around.enter_context(redirect_stderr(_Messages(self)))
        self._around.callback(messages.end_line)
        return self

    def __exit__(self, *_: object) -> None:
        self._around.close()

    def planned(self, datasets: "Sequence[DatasetProgress]") -> None:
        """Write a line for each dataset."""
        for dataset in datasets:
            content = asdict(dataset)
            self.write("planned", dataset=content.pop("name"), **content)
        self.started = True

    def committed(self, receipt: "Receipt") -> None:
        """Write a line for a part."""
        part = receipt.part
        ok = part.images - sum(receipt.failed.values())
        self.write(
            "committed",
            dataset=part.dataset,
            shard=part.shard,
            part=part.number,
            images=part.images,
            statuses={**({"ok": ok} if ok else {}), **receipt.failed},
            seconds={k: round(v, 4) for k, v in asdict(receipt.seconds).items()},
            storage_retries=receipt.retries,
            again=receipt.replaces,
        )

    def executing(self, executor: str, reason: str) -> None:
        """Write what runs the stages."""
        self.write("executing", executor=executor, reason=reason)

    def isolating(self, shards: int) -> None:
        """Write that a second pass begins."""
        self.write("isolating", level="warning", shards=shards)

    def stopping(self, limit_s: float) -> None:
        """Write that the run ends soon."""
        self.write("stopping", level="warning", limit_s=limit_s)

    def finished(self, report: "RunReport") -> None:
        """Write what the run came to."""
        from pipeline.execution.bottleneck import bottleneck  # noqa: PLC0415 - as above

        self.write(
            "finished",
            complete=report.complete,
            missing_parts=len(report.missing_parts),
            foreign_parts=len(report.foreign_parts),
            broken_shards=len(report.broken_shards),
            exit_code=report.exit_code,
            images=dict(report.timings.images),
            wall_s=round(report.timings.wall_s, 3),
            bottleneck=bottleneck(report.timings),
        )

    def failed(self, message: str) -> None:
        """Write why a command ends early."""
        self.write("failed", level="error", message=message)

    def write(self, event: str, *, level: Level = "info", **fields: Any) -> None:
        """Write a line."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        content = {"time": now, "level": level, "event": event, **fields}
        self._stream.write(json.dumps(content, allow_nan=False) + "\n")
        self._stream.flush()


class _Messages(TextIOBase):
    """A text stream whose lines become events."""

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, whole):
            self._lines.write("message", level="warning", message=line)
        return len(text)

    def end_line(self) -> None:
        """Pass on what is there of a line."""
        self.write("\n")
