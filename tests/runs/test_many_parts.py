"""A hundred thousand small parts with a stage that answers at once. Heavy; prints figures."""

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

from command import kill_tree, start

pytestmark = [pytest.mark.slow, pytest.mark.ray]

_PARTS = int(os.environ.get("MANY_PARTS", "100000"))
_CLASSES = ["road", "sky", "tree"]
_SHAPE = (8, 8)
_PERIOD_S = 2.0


@dataclass(frozen=True)
class Moment:
    """What a look at the driver showed.

    Attributes:
        seconds: Since it was started.
        parts: Committed by then.
        memory_mb: Its resident memory.
        cpu_s: Seconds of CPU that it had taken.
    """

    seconds: float
    parts: int
    memory_mb: float
    cpu_s: float


@pytest.mark.timeout(3 * 3600)
def test_memory_and_speed_of_the_driver_stay_as_they_are(tmp_path):
    spec, counts = write_job(tmp_path)
    masks = tmp_path / "out/masks/dataset=d"
    first = start("run", spec)
    before = watched(first, masks, until=_PARTS // 2)
    second = start("run", spec)
    after = watched(second, masks, until=None)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    print(figures(before, after))  # noqa: T201 - the figures are the point

    assert (first.returncode, second.returncode) == (130, 0)
    assert len(list(masks.glob("*.parquet"))) == _PARTS
    [dataset] = summary["datasets"]
    assert (summary["complete"], dataset["images"]["scored"]) == (True, _PARTS)
    assert dataset["confusion"] == counts
    # What the second run committed is less than the whole: it took up where the first one was.
    assert sum(summary["last_run"]["images"].values()) <= _PARTS - before[-1].parts
    for moments in (before, after):
        early, late, made = thirds(moments)
        assert max(late.memory_mb, made.memory_mb) <= early.memory_mb + 150
        assert rate(late, made) >= 0.8 * rate(begun(moments), early)


def write_job(folder: Path) -> tuple[Path, list[list[int]]]:
    """Write masks that are scored against targets, a part each, and what they must add up to."""
    rng = np.random.default_rng(0)
    kinds = []
    for kind in ("images", "targets"):
        (folder / kind).mkdir()
        maps = rng.integers(0, len(_CLASSES), (16, *_SHAPE), dtype=np.uint8)
        kinds.append(maps)
        for number, labels in enumerate(maps):
            Image.fromarray(labels).save(folder / kind / f"{number:06d}.png")
        for number in range(len(maps), _PARTS):
            original = folder / kind / f"{number % len(maps):06d}.png"
            os.link(original, folder / kind / f"{number:06d}.png")
    predictions, targets = kinds
    counts = np.zeros((len(_CLASSES), len(_CLASSES) + 1), dtype=np.int64)
    for number in range(len(predictions)):
        times = len(range(number, _PARTS, len(predictions)))
        np.add.at(counts, (targets[number], predictions[number]), times)
    dataset = {
        "name": "d",
        "images": str(folder / "images/*.png"),
        "targets": str(folder / "targets/{stem}.png"),
        "classes": _CLASSES,
        "predictions": {},
    }
    spec = {"name": "many", "datasets": [dataset], "output": str(folder / "out"), "part_images": 1}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path, counts.tolist()


def watched(process: subprocess.Popen[str], masks: Path, until: int | None) -> list[Moment]:
    """Look at a run until it ends, or interrupt it once so many parts are there."""
    began, driver = time.monotonic(), psutil.Process(process.pid)
    moments: list[Moment] = []
    try:
        while process.poll() is None:
            parts = (
                sum(entry.name[0] != "." for entry in os.scandir(masks)) if masks.is_dir() else 0
            )
            with driver.oneshot():
                memory_mb = driver.memory_info().rss / 1e6
                cpu_s = sum(driver.cpu_times()[:2])
            moments.append(Moment(time.monotonic() - began, parts, memory_mb, cpu_s))
            if until is not None and parts >= until:
                process.send_signal(signal.SIGINT)
                until = None
            time.sleep(_PERIOD_S)
        process.communicate()
    finally:
        if process.poll() is None:
            kill_tree(process)
    return moments


def begun(moments: list[Moment]) -> Moment:
    """Return when the first part that a run made was there."""
    return next(moment for moment in moments if moment.parts > moments[0].parts)


def thirds(moments: list[Moment]) -> list[Moment]:
    """Return when a third, two thirds and all of what a run made were there."""
    first, last = moments[0].parts, moments[-1].parts
    return [
        next(moment for moment in moments if moment.parts >= first + third * (last - first) // 3)
        for third in (1, 2, 3)
    ]


def rate(begin: Moment, end: Moment) -> float:
    return (end.parts - begin.parts) / (end.seconds - begin.seconds)


def figures(before: list[Moment], after: list[Moment]) -> str:
    """Return a line for each tenth of the parts."""
    lines = []
    for moments in (before, after):
        step = _PARTS // 10
        previous = moments[0]
        for goal in range(step, _PARTS + 1, step):
            reached = [m for m in moments if m.parts >= goal > moments[0].parts]
            if reached and reached[0] != previous:
                rounded = {name: round(value, 1) for name, value in asdict(reached[0]).items()}
                lines.append(json.dumps(rounded | {"rate": round(rate(previous, reached[0]), 1)}))
                previous = reached[0]
        lines.append(json.dumps({"ended": asdict(moments[-1])}))
    return "\n".join(lines)
