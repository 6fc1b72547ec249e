"""Signals to a run: the first asks it to stop soon, the second at once."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Interruption:
    """Takes SIGINT and SIGTERM as a wish to stop soon, and a second one as a wish to stop now.

    Only within the block, and only in the main thread, to which signals come.

    Args:
        stop: Called once, in a thread of its own, when the first signal comes.
        limit_s: Seconds after which the second signal is taken to have come.

    Attributes:
        requested: Whether a signal has come.
    """

    def __init__(self, stop: Callable[[], None], *, limit_s: float) -> None:
        self._stop = stop
        self._limit = threading.Timer(limit_s, os.kill, (os.getpid(), signal.SIGINT))
        self._limit.daemon = True
        self._previous: dict[signal.Signals, Any] = {}
        self.requested = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        self._limit.cancel()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._limit.start()
        # Not here: this runs between any two steps of the main thread, calls to Ray among them.
        threading.Thread(target=self._stop, daemon=True, name="stop").start()
