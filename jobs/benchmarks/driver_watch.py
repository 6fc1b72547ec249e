"""What a run takes of its driver and of Ray's object store, looked at while it goes on."""

import os
import threading
import time
from pathlib import Path
from typing import Any, Final, Self

_PERIOD_S: Final = 0.5
_MEMORY: Final = Path("/proc/self/statm")  # of Linux; its second number is resident pages


class DriverWatch:
    """Watches this process and the object store within the block; Ray is running.

    Attributes:
        cpu_s: Seconds of CPU that this process has taken since `begin`.
        grown_bytes: How much its resident memory grew to since then, at most; 0 where the system
            does not tell.
        store_bytes: The most that the object store held.
        spilled_bytes: What it has written to disk.
    """

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.grown_bytes = self.store_bytes = self.spilled_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="driver-watch")

    def begin(self) -> None:
        """Leave out of the driver's figures what was before."""
        self.grown_bytes = 0
        self._began_bytes = _resident_bytes()
        self._began_s = time.process_time()

    def __enter__(self) -> Self:
        self._store = _stores()
        self.begin()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = time.process_time() - self._began_s
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self.grown_bytes = max(self.grown_bytes, _resident_bytes() - self._began_bytes)
            found = self._store().store_stats
            self.store_bytes = max(self.store_bytes, int(found.object_store_bytes_used))
            self.spilled_bytes = int(found.spilled_bytes_total)


def _resident_bytes() -> int:
    if not _MEMORY.exists():
        return 0
    return int(_MEMORY.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _stores() -> Any:
    """Return what asks Ray for its object stores; public nowhere, and Ray is pinned."""
    import ray  # noqa: PLC0415
    from ray._private import internal_api  # noqa: PLC0415

    api: Any = internal_api
    state = api.get_state_from_address(ray.get_runtime_context().gcs_address)
    return lambda: api.get_memory_info_reply(state)
