"""Submitting a job to a Ray cluster: its code, its spec and its command travel; no secret does."""

import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipeline import JobSpec
from pipeline.execution.required_env import check_names
from pipeline.execution.ship_code import write_code
from pipeline.spec.share import Share

if TYPE_CHECKING:
    from jobs.submission.job_server import JobServer
    from jobs.submission.job_state import JobState

_PACKAGES = ("jobs", "pipeline", "refinenet_core")
_SPEC_NAME = "spec.yaml"  # whatever the file is called here: names need no quoting there
_STOP_WAIT_S = 90  # from SIGTERM to SIGKILL; a run gives its parts in flight 60 s, Ray both only 3
_POLL_S = 1


@dataclass(frozen=True)
class SubmittedJob:
    """A job on a cluster, which goes on whether or not anyone looks.

    Attributes:
        id: By which the cluster knows it.
        server: That it was submitted to.
    """

    id: str
    server: "JobServer"

    @classmethod
    def find(cls, job_id: str, address: str | None = None) -> "SubmittedJob":
        """Return a job that was submitted before.

        Args:
            job_id: As `submit` has given it.
            address: As of `submit`.

        Raises:
            ClusterError: The cluster cannot be reached, refuses, or knows no such job.
        """
        from jobs.submission.job_server import JobServer  # noqa: PLC0415 - imports Ray

        job = cls(job_id, JobServer(address))
        job.state()
        return job

    def state(self) -> "JobState":
        """Ask how far the job is."""
        return self.server.state(self.id)

    def log(self) -> str:
        """Return what the job has printed so far."""
        return self.server.log(self.id)

    def follow(self, write: Callable[[str], object]) -> "JobState":
        """Write what the job prints, from its start and as it comes; return how it ended.

        Raises:
            ClusterError: The cluster has gone, or cannot be reached any more; the job may go on.
        """
        return self.server.follow(self.id, write)

    def stop(self) -> bool:
        """Ask the job to stop: parts in flight are committed. Say whether it was still running."""
        return self.server.stop(self.id)

    def wait(self) -> "JobState":
        """Wait until the job has ended; return how."""
        while not (state := self.state()).has_ended:
            time.sleep(_POLL_S)
        return state


def submit(
    spec: JobSpec,
    address: str | None = None,
    *,
    limit: int | None = None,
    require_env: Sequence[str] = (),
    refresh: bool = False,
    retry_failed: bool = False,
    overwrite: bool = False,
    share: str | None = None,
) -> SubmittedJob:
    """Submit a job to a Ray cluster, through its job server.

    The cluster needs Ray and the dependencies; the project's code travels with the job. Nothing of
    this process's environment does: credentials are the nodes' own.

    ```python
    job = submit(JobSpec.from_yaml("spec.yaml"), "http://head:8265")
    state = job.follow(print)
    ```

    Args:
        spec: The job; paths in it must mean the same on every node.
        address: `http://HEAD:8265`; by default what `RAY_API_SERVER_ADDRESS` or `RAY_ADDRESS`
            says, or the Ray that runs on this machine.
        limit: Take the first so many images of each dataset, as a job of its own.
        require_env: Environment variables that must be set on each node.
        refresh: As of `pipeline.run`, like the following.
        retry_failed: Likewise.
        overwrite: Likewise.
        share: K/N: make the K-th of N shares alone; submit a job for each.

    Raises:
        SpecError: A name in `require_env` is none, or a share.
        ClusterError: There is no job server, or it refuses.
    """
    check_names(require_env)
    options = [f"--require-env={name}" for name in require_env]
    if share is not None:
        options.append(f"--share={Share.parse(share)}")
    if limit is not None:
        options.append(f"--limit={limit}")
    flags = {"--refresh": refresh, "--retry-failed": retry_failed, "--overwrite": overwrite}
    options += [name for name, given in flags.items() if given]
    command = ["exec", "python", "-m", "jobs", "run", _SPEC_NAME, "--address=auto", *options]
    from jobs.submission.job_server import JobServer  # noqa: PLC0415 - imports Ray

    server = JobServer(address)
    with tempfile.TemporaryDirectory() as folder:
        write_code(Path(folder), _PACKAGES)
        content = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
        (Path(folder) / _SPEC_NAME).write_text(content, encoding="utf-8")
        env_vars = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S)}  # read by the job's supervisor
        return SubmittedJob(server.submit(shlex.join(command), Path(folder), env_vars), server)
