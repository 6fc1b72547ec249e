"""The run that the tests of exports share."""

import shutil

import pytest

from exported_job import run_exported_job
from stages_in_order import runs_in_this_process
from tiny_job import TinyJob


@pytest.fixture(scope="session")
def finished(tmp_path_factory, checkpoint):
    """A job that was run: a folder with a broken image, a tar, and a table of odious keys."""
    with runs_in_this_process():
        return run_exported_job(tmp_path_factory.mktemp("exported"), checkpoint)


@pytest.fixture
def job(finished, tmp_path):
    """A copy of the job that a test may change; its spec names the original's inputs."""
    shutil.copytree(finished.output, tmp_path / "copy")
    return TinyJob(tmp_path, {**finished.spec, "output": str(tmp_path / "copy")})
