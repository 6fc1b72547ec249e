"""Faults that pass: tried again after a while, a bounded number of times, and counted."""

import errno
import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_ATTEMPTS: Final = 10  # 35 s on average: a server that is restarted is back by then
_ATTEMPTS_AT_FIRST: Final = 3  # where nothing ever answered, most likely the address is wrong
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 10.0

_PASSING_ERRNOS: Final = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EIO"),
        *("ENETDOWN", "ENETRESET", "ENETUNREACH", "EPIPE", "EREMOTEIO", "ESTALE", "ETIMEDOUT"),
    )
    if hasattr(errno, name)  # EREMOTEIO is Linux's alone
}
_PASSING_STATUSES: Final = {408, 425, 429, 500, 502, 503, 504}
# Codes of S3 that come with another status: of a transfer that was damaged or overtaken.
_PASSING_CODES: Final = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "XAmzContentSHA256Mismatch",
}


class ShortReadError(Exception):
    """A storage gave fewer bytes than it was asked for."""


_LASTING: Final = FileNotFoundError | PermissionError | FileExistsError
_PASSING: Final = TimeoutError | ConnectionError | http.client.IncompleteRead | ShortReadError


class Attempt(Protocol):
    """What makes a request of a storage, again if need be."""

    def __call__(self, request: Callable[[], T], /) -> T:
        """Return what the request returns."""


class Retries:
    """How often this process has tried storage operations again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = 0
        self._gave_up: set[str] = set()

    @property
    def made(self) -> int:
        """Number of retries since the process started."""
        return self._made

    def run(self, operation: Callable[[], T], place: str, *, answered: bool) -> T:
        """Do something on a storage; if a fault comes that passes, wait and do it again.

        The waits double from 0.2 s to 10 s, each drawn at random from zero to that: workers that
        failed together do not come back together.

        Args:
            operation: What to do; it must be able to be done twice.
            place: Name of the storage. Once it has used up all attempts it gets fewer, until
                something succeeds there: a job of many objects on a dead storage ends.
            answered: Whether it has ever answered; if not, it gets fewer attempts.

        Raises:
            Exception: What the last attempt raised, or the first fault that does not pass.
        """
        patient = answered and place not in self._gave_up
        attempts = _ATTEMPTS if patient else _ATTEMPTS_AT_FIRST
        for attempt in range(attempts):
            try:
                result = operation()
            except Exception as error:
                if not passes(error):
                    raise
                if attempt == attempts - 1:
                    self._gave_up.add(place)
                    raise
            else:
                self._gave_up.discard(place)
                return result
            with self._lock:
                self._made += 1
            longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**attempt)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - of no use to an attacker
        raise AssertionError("unreachable: the last attempt returns or raises")


RETRIES: Final = Retries()
"""The retries of this process."""


def passes(error: BaseException) -> bool:
    """Say whether an error of a storage is one that passes: time-outs, 503, cut connections."""
    for cause in causes(error):  # the deepest tells most: what wraps it has other names for it
        verdict = _verdict(cause)
        if verdict is not None:
            return verdict
    return isinstance(error, OSError) and error.errno in _PASSING_ERRNOS


def _verdict(error: BaseException) -> bool | None:
    """Say of one error whether it passes, None if it does not tell."""
    if isinstance(error, _LASTING):
        return False
    # Half a second to import, for other faults alone.
    from aiohttp import ClientError as AioHttpError  # noqa: PLC0415
    from aiohttp import ClientResponseError, InvalidURL  # noqa: PLC0415
    from botocore import exceptions as boto  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    if isinstance(error, InvalidURL | boto.SSLError):
        return False
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = error.response.get("Error", {}).get("Code")
        return status in _PASSING_STATUSES or code in _PASSING_CODES
    if isinstance(error, ClientResponseError):
        return error.status in _PASSING_STATUSES
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    cut = AioHttpError | boto.ConnectionError | boto.HTTPClientError | boto.ResponseStreamingError
    return True if isinstance(error, _PASSING | cut | ResponseParserError) else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error's causes, the first one first, and the error itself last."""
    if error is not None:
        yield from causes(error.__cause__)
        yield error
