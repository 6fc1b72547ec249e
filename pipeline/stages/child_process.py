"""Run a function in a child process that may crash: it dies, and whoever asked goes on."""

import contextlib
import ctypes
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Generic, TypeVar

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>

A = TypeVar("A")
R = TypeVar("R")


class ChildDiedError(Exception):
    """A child process died, or was killed for taking too long; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChildProcess(Generic[A, R]):
    """Calls a function in a child process, which is started when needed, and again if it died.

    Args:
        setup: Called once in each child; it returns the function. Both must be picklable.
        memory_bytes: Address space that the child may take beyond what it has after `setup`.
    """

    def __init__(
        self, setup: Callable[[], Callable[[A], R]], *, memory_bytes: int | None = None
    ) -> None:
        self._setup = setup
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        """Start the child unless it runs, to tell its failing to start from its dying of a call.

        Raises:
            ChildDiedError: It died before it was set up.
            Exception: What the setup raised.
        """
        self._running()

    def call(self, argument: A, *, limit_s: float | None = None) -> R:
        """Call the function.

        Args:
            argument: Its argument.
            limit_s: Seconds after which the child is killed.

        Raises:
            ChildDiedError: The child died, or took too long.
            Exception: What the function raised.
        """
        connection = self._running()
        try:
            connection.send(argument)
            if not connection.poll(limit_s):
                self.close()
                raise ChildDiedError(f"took longer than {limit_s:g} s")
            outcome = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ChildDiedError(self._how_it_died()) from error
        if isinstance(outcome, _Raised):
            raise outcome.error
        result: R = outcome
        return result

    def kill(self) -> None:
        """Kill the child while another thread calls it, whose call then raises."""
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._process and self._connection:
            self._process.kill()
            self._process.wait()
            self._connection.close()
        self._process = self._connection = None

    def _running(self) -> Connection:
        if self._connection:
            return self._connection
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = ours
        try:
            ours.send_bytes(pickle.dumps((self._setup, self._memory_bytes)))
            failure = ours.recv()
        except (EOFError, ConnectionError) as error:
            raise ChildDiedError(f"at its start, {self._how_it_died()}") from error
        if failure is not None:
            self.close()
            raise failure
        return ours

    def _how_it_died(self) -> str:
        code = self._process.wait() if self._process else 0
        self.close()
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


class _Raised:
    """An exception on its way to the parent."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def serve(descriptor: int) -> None:
    """Be the child: set up, then answer until the parent hangs up.

    Args:
        descriptor: File descriptor of the connection to the parent.
    """
    connection: Connection = Connection(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too: the parent ends it
    if sys.platform == "linux":  # die with the parent, whatever it dies of
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # where memory runs out, this process is to go first
        Path("/proc/self/oom_score_adj").write_text("1000")
    setup, memory_bytes = pickle.loads(connection.recv_bytes())  # noqa: S301 - from our parent
    try:
        function = setup()
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        connection.send(error)
        return
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory_bytes,) * 2)
    connection.send(None)
    while True:
        try:
            argument = connection.recv()
        except EOFError:
            return
        connection.send(_outcome(function, argument))


def _outcome(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001 - it is raised in the parent
        return _Raised(error)


def _address_space() -> int:
    """Return the bytes of address space that this process has; 0 where that is not known."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[0]) * resource.getpagesize()
