"""Runs that are killed or lose their storage: what is committed stays, the next run goes on."""

import json
import time
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command
from object_store import free_ports, running_object_store
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri
from tiny_job import TinyJob

IMAGES = 24
_TIMEOUT_S = 120


@dataclass
class Place:
    """Where a run puts its output."""

    uri: str
    storage: Storage

    def parts(self) -> dict[str, bytes]:
        """Return every committed part by name; each must open as Parquet."""
        folder = f"{self.uri}/masks/dataset=pictures"
        parts = {name: self.storage.read(f"{folder}/{name}") for name in self._names(folder)}
        for data in parts.values():
            assert pq.ParquetFile(pa.BufferReader(data)).read().num_rows == 2
        return parts

    def summary(self) -> dict:
        """Return what the summary says of the datasets."""
        return json.loads(self.storage.read(f"{self.uri}/summary.json"))["datasets"]

    def _names(self, folder: str) -> list[str]:
        return [name for name in self.storage.names(folder) if not name.startswith(".")]


@pytest.fixture
def place(tmp_path):
    return Place(absolute_uri(str(tmp_path / "crashed")), Storage())


@pytest.fixture(scope="module")
def job(tmp_path_factory, checkpoint):
    """A job of many small parts, run once without disturbance."""
    job = TinyJob.make(tmp_path_factory.mktemp("crash") / "job", checkpoint, images=IMAGES)
    job.spec["part_images"] = 2
    assert command.run("run", job.write_spec(), ray=False).returncode == 0
    return job


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.s3
def test_a_store_that_goes_away_ends_the_run_with_3_and_once_it_is_back_the_run_goes_on(
    job, tmp_path, monkeypatch
):
    ports = free_ports()
    job.spec["output"] = "s3://results/went-away"
    job.spec["resources"]["executor"] = "ray"
    spec = job.write_spec()
    with running_object_store(tmp_path, ports) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        place = Place(job.spec["output"], Storage())
        process = command.start("run", spec)
        wait_for_parts(place, 2, process)
    _, stderr = process.communicate(timeout=_TIMEOUT_S * 2)

    with running_object_store(tmp_path, ports):
        again = command.run("run", spec)
        parts = place.parts()

    assert process.returncode == 3
    assert "error: s3://results/went-away" in stderr
    assert "cannot be reached" in stderr
    assert "Traceback" not in stderr
    assert again.returncode == 0, again.stderr
    assert "committed already" in again.stderr
    assert len(parts) == IMAGES // 2


def wait_for_parts(place, count, process):
    deadline = time.monotonic() + _TIMEOUT_S
    while len(place.parts()) < count:
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_after_a_kill_the_same_command_does_the_rest_and_the_tables_are_the_same(
    job, place, executor
):
    undisturbed = Place(absolute_uri(str(job.root / "output")), Storage())
    job.spec["output"] = place.uri
    job.spec["resources"]["executor"] = executor
    spec = job.write_spec()

    process = command.start("run", spec)
    wait_for_parts(place, 3, process)
    killed = command.kill_tree(process)
    left = place.parts()
    again = command.run("run", spec, ray=False)

    assert killed == 2 if executor == "local" else killed > 3  # Ray's own, and its workers
    assert 3 <= len(left) < IMAGES // 2
    assert again.returncode == 0, again.stderr
    assert f"{2 * len(left)} images in {len(left)} parts are committed already" in again.stderr
    finished = place.parts()
    assert {name: finished[name] for name in left} == left
    assert finished == undisturbed.parts()
    assert place.summary() == undisturbed.summary()
