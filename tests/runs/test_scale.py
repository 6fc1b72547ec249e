"""Sizes that real buckets have: a million images, a tar of 20 GB. Heavy; figures are printed."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

import listing_server
from command import kill_tree, start
from listing_server import running_listing_server
from pipeline.datasets.plan import DatasetPlan
from pipeline.output.part_name import part_file_name
from tiny_job import CLASSES, MODEL
from virtual_tar import members_in, running_virtual_tar

pytestmark = [pytest.mark.slow, pytest.mark.ray]

GIB = 1 << 30


@dataclass
class Watched:
    """A run that is watched: when what happened, and the most memory of each kind of process."""

    process: subprocess.Popen[str]
    started: float = field(default_factory=time.monotonic)
    peaks: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def look(self) -> None:
        """Note the resident memory of the driver and of Ray's processes."""
        driver = psutil.Process(self.process.pid)
        for process in (driver, *driver.children(recursive=True)):
            try:
                title = "driver" if process == driver else " ".join(process.cmdline())
                self.peaks[_kind(title)].append((self.seconds, process.memory_info().rss))
            except psutil.Error:
                continue  # it has ended since

    def peak(self, kind: str, begin: float = 0, end: float = float("inf")) -> float:
        """Return the peak in MB between two times."""
        return max(rss for when, rss in self.peaks[kind] if begin <= when <= end) / 1e6


def _kind(title: str) -> str:
    for kind in ("driver", "Reader", "Segmenter", "Committer"):
        if kind in title:
            return kind
    return "other"


@contextmanager
def running(spec: dict, folder: Path, environment: dict[str, str]) -> Iterator[Watched]:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    process = start("run", path, environment={**os.environ, **environment})
    try:
        yield Watched(process)
    finally:
        if process.poll() is None:
            kill_tree(process)


def part_files(output: Path) -> list[Path]:
    return list(output.glob("masks/*/*.parquet"))


def until_first_part(watched: Watched, output: Path, there: int) -> float:
    """Return the seconds until a part more is committed than there was."""
    while len(part_files(output)) <= there:
        assert watched.process.poll() is None
        watched.look()
        time.sleep(0.2)
    return watched.seconds


def job(folder: Path, checkpoint: Path, dataset: dict) -> dict:
    return {
        "name": "scale",
        "model": {"name": MODEL, "num_classes": 4, "checkpoint": str(checkpoint)},
        "datasets": [{"name": "d", "classes": CLASSES, **dataset}],
        "output": str(folder / "out"),
    }


@pytest.mark.timeout(600)
def test_a_million_images_are_planned_and_begun_within_90_seconds(tmp_path, checkpoint):
    images = f"s3://{listing_server.BUCKET}/{listing_server.FOLDER}/*.jpg"
    spec = job(tmp_path, checkpoint, {"images": images})
    output = tmp_path / "out"
    with running_listing_server(1_000_000) as server:
        with running(spec, tmp_path, server.environment) as fresh:
            while not (output / "plan/d.parquet").exists():
                fresh.look()
                time.sleep(0.2)
            planned_s = fresh.seconds
            first_s = until_first_part(fresh, output, 0)
        plan = DatasetPlan.from_parquet("d", (output / "plan/d.parquet").read_bytes())
        for shard in plan.shards[: len(plan.shards) // 2]:
            for number in range(len(shard.part_images)):
                ending = "end" if number == len(shard.part_images) - 1 else ""
                name = part_file_name(shard.slug, number, ending)
                (output / "masks/dataset=d" / name).touch()
        there = len(part_files(output))
        with running(spec, tmp_path, server.environment) as resumed:
            resumed_s = until_first_part(resumed, output, there)
    sys.stdout.write(
        f"\nplanned after {planned_s:.1f} s, first part committed after {first_s:.1f} s, driver "
        f"{fresh.peak('driver'):.0f} MB; resumed with {there} of 3907 parts there: first part "
        f"committed after {resumed_s:.1f} s, driver {resumed.peak('driver'):.0f} MB\n"
    )

    assert plan.num_images == 1_000_000
    assert planned_s <= 60
    assert first_s <= 90
    assert resumed_s <= 60
    assert fresh.peak("driver") <= GIB / 1e6


@pytest.mark.timeout(1800)
def test_a_tar_of_20_gb_streams_through_in_memory_that_does_not_grow(tmp_path, checkpoint):
    gigabytes = 20
    with running_virtual_tar(gigabytes) as url:
        spec = job(tmp_path, checkpoint, {"format": "webdataset", "images": url})
        with running(spec, tmp_path, {}) as watched:
            while watched.process.poll() is None:
                watched.look()
                time.sleep(0.5)
            code = watched.process.returncode
            seconds = watched.seconds
    rows = sum(pq.ParquetFile(path).metadata.num_rows for path in part_files(tmp_path / "out"))
    figures = {kind: watched.peak(kind) for kind in ("driver", "Reader", "Segmenter", "Committer")}
    sys.stdout.write(f"\n{rows} images in {seconds:.0f} s; peak MB: {figures}\n")

    assert code == 0
    assert rows == members_in(gigabytes)
    for kind in figures:
        first, second = watched.peak(kind, 20, seconds / 2), watched.peak(kind, seconds / 2)
        assert second <= 1.15 * first + 50, kind
