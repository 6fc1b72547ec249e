"""Child processes: what they return, what they raise, and every way in which they die."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.stages.child_process import ChildDiedError, ChildProcess


@pytest.fixture
def child():
    child = ChildProcess(_prepare, memory_bytes=1 << 28)
    yield child
    child.close()


def test_a_child_is_set_up_once_and_answers_until_it_is_closed(child):
    first, second = child.call("pid"), child.call("pid")
    child.close()

    assert first == second != os.getpid()
    assert child.call("pid") != first


def test_what_the_function_raises_is_raised_here_and_the_child_goes_on(child):
    pid = child.call("pid")

    with pytest.raises(ZeroDivisionError):
        child.call("divide")

    assert child.call("pid") == pid


@pytest.mark.parametrize(
    ("argument", "reason"),
    [("segfault", "was killed by SIGSEGV"), ("exit", "ended with exit code 7")],
)
def test_a_death_is_told_and_the_next_call_starts_another_child(child, argument, reason):
    pid = child.call("pid")

    with pytest.raises(ChildDiedError, match=reason):
        child.call(argument)

    assert child.call("pid") != pid


def test_a_child_that_takes_too_long_is_killed(child):
    pid = child.call("pid")
    start = time.monotonic()

    with pytest.raises(ChildDiedError, match=r"took longer than 0\.5 s"):
        child.call("hang", limit_s=0.5)

    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_memory_is_limited(child):
    assert child.call("a little memory") == 1 << 20

    with pytest.raises(MemoryError):
        child.call("a lot of memory")


def test_a_child_dies_with_its_parent():
    code = (
        "import os, signal; from test_child_process import _prepare; "
        "from pipeline.stages.child_process import ChildProcess; "
        "child = ChildProcess(_prepare); print(child.call('pid'), flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    parent = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=place, check=False, text=True
    )

    assert parent.returncode == -signal.SIGKILL, parent.stderr
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(parent.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(parent.stdout))


def test_what_the_setup_raises_is_raised_here():
    child = ChildProcess(partial(int, "no number"))

    with pytest.raises(ValueError, match="no number"):
        child.call(1)


def _prepare():
    return _work


def _work(argument):
    return {
        "pid": os.getpid,
        "divide": lambda: 1 / 0,
        "segfault": lambda: ctypes.string_at(0),
        "exit": lambda: os._exit(7),
        # In C, without letting go of Python's lock.
        "hang": lambda: ctypes.PyDLL(None).sleep(1000),
        "a little memory": lambda: len(bytearray(1 << 20)),
        "a lot of memory": lambda: len(bytearray(1 << 30)),
    }[argument]()
