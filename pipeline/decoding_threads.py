"""Decoding in threads, each image for a limited time."""

import faulthandler
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from itertools import islice
from typing import Self, TypeVar

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
    late = DecodeError("crashed", f"took longer than {timeout_s:g} s to decode")
    results: dict[int, T | DecodeError] = {}
    running: dict[Future[T | DecodeError], tuple[int, float]] = {}
    waiting = iter(enumerate(items))
    with _Watchdog(2 * timeout_s + _GRACE_S) if watched else nullcontext() as watchdog:
        while len(results) < len(items):
            if watchdog:
                watchdog.hear()
            for position, item in islice(waiting, threads - len(running)):
                deadline = time.monotonic() + timeout_s
                running[_start(decode, item, late, timeout_s)] = position, deadline
            soonest = min(deadline for _, deadline in running.values())
            done, _ = wait(running, max(0, soonest - time.monotonic()), FIRST_COMPLETED)
            for future, (position, deadline) in list(running.items()):
                if future in done:
                    results[position] = future.result()
                elif time.monotonic() >= deadline:
                    results[position] = late
                else:
                    continue
                del running[future]
    return [results[position] for position in range(len(items))]


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


def _start(
    decode: Callable[[S], T], item: S, late: DecodeError, timeout_s: float
) -> Future[T | DecodeError]:
    """Decode in a thread of its own; a daemon, since one left behind must not keep the process."""
    future: Future[T | DecodeError] = Future()

    def work() -> None:
        began = time.monotonic()
        try:
            result: T | DecodeError = decode(item)
        except DecodeError as error:
            result = error
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is taken
            future.set_exception(error)
            return
        future.set_result(late if time.monotonic() - began > timeout_s else result)

    threading.Thread(target=work, daemon=True, name="decode").start()
    return future
