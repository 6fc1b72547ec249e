"""Ray for the time of a run: the process's own, or one that is started and ended here."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def running_ray(*, retries: int) -> Iterator[None]:
    """Run within the process's Ray if it has one, else within one of this run's own.

    Args:
        retries: Of a failing task of a dataset.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Each actor pool otherwise prints an error about restarts (ray#53727) that is none here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray's default is to start again for ever what it has killed for want of memory.
    os.environ.setdefault("RAY_task_oom_retries", str(retries))
    import ray  # noqa: PLC0415 - takes more than a second, and wrong specs end before

    ours = not ray.is_initialized()
    if ours:
        with _holding_back(b"RAY_BACKEND_LOG_LEVEL"):
            # "local", or Ray would join whatever cluster RAY_ADDRESS or the machine offers.
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    try:
        _configure_ray_data(retries)
        yield
    finally:
        if ours:
            ray.shutdown()


def _configure_ray_data(retries: int) -> None:
    from ray.data import DataContext  # noqa: PLC0415 - as above

    context = DataContext.get_current()
    context.target_max_block_size = 1  # a block per row, so that parts move on one by one
    context.enable_progress_bars = False  # the run reports its own progress, in images
    context.print_on_execution_start = False
    context.retried_map_errors = True
    context.max_map_retries = retries
    context.max_errored_blocks = -1  # one broken part does not end the others
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
def _holding_back(words: bytes) -> Iterator[None]:
    """Drop lines with these words that Ray's core writes to standard error; delay the others."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            for line in held:
                if words not in line:
                    os.write(stderr, line)
            os.close(stderr)
