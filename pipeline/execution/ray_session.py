"""Ray for the time of a run: the process's own, a cluster's, or one that starts and ends here."""

import contextlib
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from pipeline.errors import ClusterError

TASK_RETRIES = 2  # of a part in the first pass; what still fails then is isolated by the second


@contextlib.contextmanager
def running_ray(
    address: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    num_cpus: int | None = None,
) -> Iterator[None]:
    """Run within the process's Ray if it has one, else within a cluster or a Ray of this run's own.

    Args:
        address: Of a cluster; by default Ray is started here, and ended.
        runtime_env: What workers of a cluster get.
        num_cpus: Logical CPUs of a Ray that is started here; by default as many as there are.

    Raises:
        ClusterError: An address is given, and the process has a Ray already.
    """
    configure_ray()
    import ray  # noqa: PLC0415 - takes more than a second, and wrong specs end before

    ours = not ray.is_initialized()
    if address is not None and not ours:
        raise ClusterError(
            address,
            "this process has a Ray already; leave out the address to use that one, or call "
            "ray.shutdown() before",
        )
    if ours:
        # "local", or Ray would join whatever cluster RAY_ADDRESS or the machine offers.
        with holding_back(b"RAY_BACKEND_LOG_LEVEL"), _keeping_handler(signal.SIGTERM):
            ray.init(
                address=address or "local",
                runtime_env=runtime_env,
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    try:
        _configure_ray_data()
        yield
    finally:
        if ours:
            ray.shutdown()


def configure_ray() -> None:
    """Set what Ray reads from the environment when it is imported, and leave what is set there."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Each actor pool otherwise prints an error about restarts (ray#53727) that is none here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray's default is to start again for ever what it has killed for want of memory.
    os.environ.setdefault("RAY_task_oom_retries", str(TASK_RETRIES))


def _configure_ray_data() -> None:
    from ray.data import DataContext  # noqa: PLC0415 - as above

    context = DataContext.get_current()
    context.target_max_block_size = 1  # a block per row, so that parts move on one by one
    context.enable_progress_bars = False  # the run reports its own progress, in images
    context.print_on_execution_start = False
    context.memory_usage_poll_interval_s = None  # else a thread for each task that looks at it
    context.retried_map_errors = True
    context.max_map_retries = TASK_RETRIES
    context.max_errored_blocks = -1  # one broken part does not end the others
    # Of actors that are lost, say with their node, before they are ready; Ray's default is none.
    context.max_consecutive_actor_init_deaths = TASK_RETRIES
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the terminal; Ray's log file has it all
            handler.setLevel(logging.ERROR)
            handler.setFormatter(_Brief())


class _Brief(logging.Formatter):
    """Say in a line why a part failed, where Ray prints the stack of each process on the way."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        if not record.exc_info or not record.exc_info[1]:
            return record.getMessage()
        causes = str(record.exc_info[1]).split("\n\nThe above exception")
        ours = causes[-2] if len(causes) > 1 else causes[-1]  # the last one is Ray's wrapping
        return f"a part failed: {ours.strip().splitlines()[-1]}"


@contextlib.contextmanager
def _keeping_handler(number: signal.Signals) -> Iterator[None]:
    """Undo that Ray takes a signal for itself, to exit at once."""
    handler = signal.getsignal(number)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)


@contextlib.contextmanager
def holding_back(*words: bytes) -> Iterator[None]:
    """Drop lines with one of these that Ray's core writes to standard error; delay the others."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            for line in held:
                if not any(word in line for word in words):
                    os.write(stderr, line)
            os.close(stderr)
