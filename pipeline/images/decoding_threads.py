"""Decoding in threads, each image for a limited time."""

import faulthandler
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Generic, Self, TypeVar

from pipeline.errors import DecodeError

S = TypeVar("S")
T = TypeVar("T")

_GRACE_S = 5.0


def decode_each(
    decode: Callable[[S], T],
    items: Sequence[S],
    *,
    threads: int,
    timeout_s: float,
    watched: bool = False,
) -> list[T | DecodeError]:
    """Decode in threads, each item for a limited time.

    A thread cannot be killed. One that takes too long is left behind, to end when it will: it keeps
    its core and memory until then, but the others go on beside it, in as many threads as before.
    The limit is on the time that an item is being decoded, not on its wait for a thread. A decoder
    that does not let go of Python's lock delays all, and is found out when it has ended.

    Args:
        decode: What to do with an item; it must leave nothing half done, for it may be abandoned.
        items: What to decode.
        threads: How many to decode at a time.
        timeout_s: The limit.
        watched: Whether to end this process if Python stands still for much longer than the limit.

    Returns:
        What `decode` returned, or the DecodeError that it raised, or one that says it took too
        long, in the order of the items.
    """
    crew = _Crew(decode, items, timeout_s)
    with _Watchdog(2 * timeout_s + _GRACE_S) if watched else nullcontext() as watchdog:
        return crew.work(min(threads, len(items)), watchdog.hear if watchdog else lambda: None)


class _Crew(Generic[S, T]):
    """Threads that decode items, one after the other: starting one for each takes too long.

    Args:
        decode: What to do with an item.
        items: What to decode.
        limit_s: How long an item may take.
    """

    def __init__(self, decode: Callable[[S], T], items: Sequence[S], limit_s: float) -> None:
        self._decode = decode
        self._limit_s = limit_s
        self._number = len(items)
        self._waiting: Iterator[tuple[int, S]] = iter(enumerate(items))
        self._late = DecodeError("crashed", f"took longer than {limit_s:g} s to decode")
        self._results: dict[int, T | DecodeError] = {}
        self._deadlines: dict[int, float] = {}  # of items at work, by position
        self._failure: BaseException | None = None
        self._changed = threading.Condition()  # guards all of these

    def work(self, threads: int, hear: Callable[[], None]) -> list[T | DecodeError]:
        """Decode all; call `hear` at least as often as an item may take time."""
        for _ in range(threads):
            self._hire()
        with self._changed:
            while len(self._results) < self._number and self._failure is None:
                hear()
                soonest = min(self._deadlines.values(), default=time.monotonic() + self._limit_s)
                self._changed.wait(max(0.0, soonest - time.monotonic()))
                self._give_up_late_ones()
            self._waiting = iter(())  # after a failure nobody begins another
            if self._failure is not None:
                raise self._failure
            return [self._results[position] for position in range(self._number)]

    def _hire(self) -> None:
        """Start a thread; a daemon, since one left behind must not keep the process."""
        threading.Thread(target=self._work, daemon=True, name="decode").start()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            position, item = taken
            began_s = time.monotonic()
            try:
                result: T | DecodeError = self._decode(item)
            except DecodeError as error:
                result = error
            except BaseException as error:  # noqa: BLE001  # it is raised where results are taken
                self._fail(error)
                return
            late = time.monotonic() - began_s > self._limit_s
            if not self._put(position, self._late if late else result):
                return

    def _take(self) -> tuple[int, S] | None:
        with self._changed:
            taken = next(self._waiting, None)
            if taken is not None:
                self._deadlines[taken[0]] = time.monotonic() + self._limit_s
            return taken

    def _put(self, position: int, result: T | DecodeError) -> bool:
        """Say whether this thread goes on: one that was left behind has been replaced."""
        with self._changed:
            if self._deadlines.pop(position, None) is None:
                return False
            self._results[position] = result
            if len(self._results) == self._number:
                self._changed.notify()
            return True

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify()

    def _give_up_late_ones(self) -> None:
        now = time.monotonic()
        for position, deadline in list(self._deadlines.items()):
            if now >= deadline:
                del self._deadlines[position]
                self._results[position] = self._late
                self._hire()


class _Watchdog:
    """Ends this process if it is not heard of for a while; it needs no lock of Python's itself.

    Args:
        limit_s: How long.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    def hear(self) -> None:
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()
