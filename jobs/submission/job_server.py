"""The job server of a Ray cluster: submitting, watching and stopping jobs by HTTP."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Never

import aiohttp
from ray.exceptions import AuthenticationError, RayError
from ray.job_submission import JobSubmissionClient

from jobs.submission.job_state import JobState
from pipeline.errors import ClusterError
from pipeline.execution.ray_token import send_token

_HTTP_TIMEOUTS_S = (10, 120)  # to connect, and to answer
_SILENCE_S = 30  # of a job's log, after which the server is asked whether it is still there
_PAUSE_S = 1
_ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"  # Ray prefers it to the address it is given


class JobServer:
    """A connection to a job server, which was there when it was made.

    Args:
        address: `http://HEAD:8265`, or HEAD:8265; by default what `RAY_API_SERVER_ADDRESS` or
            `RAY_ADDRESS` says, or the Ray that runs on this machine.

    Raises:
        ClusterError: There is no job server, or it refuses.
    """

    def __init__(self, address: str | None = None) -> None:
        send_token()
        for handler in logging.getLogger("ray").handlers:  # or it tells each step of an upload
            handler.setLevel(logging.WARNING)
        if address is not None and "://" not in address and address != "auto":
            address = f"http://{address}"
        named = (address, *map(os.environ.get, (_ADDRESS_VARIABLE, "RAY_ADDRESS")))
        self.address = next(filter(None, named), "this machine")
        with self._explaining(), _preferring(address):
            try:
                self._client = _Client(address)
            except (KeyError, ValueError, RuntimeError) as error:
                raise ClusterError(
                    self.address,
                    f"is no job server of Ray: {error}; give the dashboard's address, by default "
                    "http://HEAD:8265",
                ) from error
        self.address = self._client.get_address()

    def submit(self, entrypoint: str, code: Path, env_vars: dict[str, str]) -> str:
        """Upload a folder and have a command run in it; return the job's id."""
        runtime_env = {"working_dir": str(code), "env_vars": env_vars}
        with self._explaining():
            return self._client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)

    def state(self, job: str) -> JobState:
        """Ask how far a job is."""
        with self._explaining(job):
            return JobState.from_details(job, self._client.get_job_info(job))

    def stop(self, job: str) -> bool:
        """Ask a job to stop; say whether it was still to be stopped."""
        with self._explaining(job):
            return self._client.stop_job(job)

    def log(self, job: str) -> str:
        """Return what a job has printed so far."""
        with self._explaining(job):
            return self._client.get_job_logs(job)

    def follow(self, job: str, write: Callable[[str], object]) -> JobState:
        """Write what a job prints, from its start and as it comes; return how it ended."""
        written = 0
        state = self.state(job)
        while True:
            with self._explaining(job):
                written = asyncio.run(self._tail(job, written, write))
            state = self.state(job)
            if state.has_ended:
                return state
            time.sleep(_PAUSE_S)  # the connection has been closed on the way: a new one

    async def _tail(self, job: str, written: int, write: Callable[[str], object]) -> int:
        """Write a job's log but its first characters; return how many are written then."""
        position = 0
        chunks = self._client.tail_job_logs(job)
        while True:
            coming = asyncio.ensure_future(anext(chunks, None))
            while not (await asyncio.wait({coming}, timeout=_SILENCE_S))[0]:
                self.state(job)  # raises if the server has gone without a word
            text = coming.result()
            if text is None:
                return written
            if position + len(text) > written:
                write(text[max(0, written - position) :])
            position += len(text)
            written = max(written, position)

    @contextlib.contextmanager
    def _explaining(self, job: str = "") -> Iterator[None]:
        """Turn what requests, aiohttp and Ray raise into what a user can act on."""
        try:
            yield
        except AuthenticationError as error:
            got = "got no token" if "required" in error.message else "refuses the token"
            raise ClusterError(
                self.address,
                f"the job server {got}; give the cluster's in RAY_AUTH_TOKEN, in the file that "
                "RAY_AUTH_TOKEN_PATH names, or in ~/.ray/auth_token",
            ) from error
        except _RefusedError as error:
            reason = f"the job server refuses: {error.status} {error.text.strip()}"
            if error.status == HTTPStatus.NOT_FOUND and job:
                reason = f"knows no job {job!r}; `submit` has printed the id, raysubmit_…"
            raise ClusterError(self.address, reason) from error
        except (OSError, aiohttp.ClientError, RayError, RuntimeError) as error:
            raise ClusterError(
                self.address, f"the job server cannot be reached: {error}"
            ) from error


class _Client(JobSubmissionClient):
    """Ray's client, which does not wait for ever, and whose refusals can be told apart."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, timeout=_HTTP_TIMEOUTS_S, **options)

    def _raise_error(self, r: Any) -> Never:
        raise _RefusedError(r.status_code, r.text)


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status, self.text = status, text


@contextlib.contextmanager
def _preferring(address: str | None) -> Iterator[None]:
    """Have Ray take the address it is given: its environment variables would come first."""
    before = os.environ.get(_ADDRESS_VARIABLE)
    if address is not None:
        os.environ[_ADDRESS_VARIABLE] = address
    try:
        yield
    finally:
        if before is not None:
            os.environ[_ADDRESS_VARIABLE] = before
        elif address is not None:
            del os.environ[_ADDRESS_VARIABLE]
