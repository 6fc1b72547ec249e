"""A flag that stops the stages: no more parts are taken, those in flight are committed."""

import math
import time
from typing import Any, Final, Protocol

_LOOK_S: Final = 0.25  # between two questions of a worker to the flag's process


class StopFlag(Protocol):
    """A flag that the driver raises and that the stages see, soon if not at once."""

    def raise_(self) -> None:
        """Ask the stages to take no more parts."""

    def is_up(self) -> bool:
        """Say whether the run is to stop."""


class LocalStopFlag:
    """A flag of one process; a copy in another one is never raised."""

    def __init__(self) -> None:
        self._up = False

    def raise_(self) -> None:
        """Ask the stages in this process to take no more parts."""
        self._up = True

    def is_up(self) -> bool:
        """Say whether the run is to stop."""
        return self._up


class RayStopFlag:
    """A flag that workers on any node see: an actor of Ray's, without a CPU of its own."""

    def __init__(self) -> None:
        import ray  # noqa: PLC0415 - the driver has started it by now

        flag: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Flag)
        self._actor = flag.remote()
        self._seen_up = False
        self._looked_s = -math.inf  # on the clock of the process that looked

    def raise_(self) -> None:
        """Ask all workers to take no more parts."""
        self._actor.raise_.remote()

    def is_up(self) -> bool:
        """Say whether the run is to stop, as known a quarter of a second ago or later.

        Many small parts a second would otherwise each wait for an answer.
        """
        import ray  # noqa: PLC0415

        if not self._seen_up and time.monotonic() - self._looked_s >= _LOOK_S:
            self._seen_up = bool(ray.get(self._actor.is_up.remote()))
            self._looked_s = time.monotonic()
        return self._seen_up

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what this process saw, and when: the other one has a clock of its own."""
        return {**self.__dict__, "_seen_up": False, "_looked_s": -math.inf}


class _Flag:
    def __init__(self) -> None:
        self._up = False

    def raise_(self) -> None:
        self._up = True

    def is_up(self) -> bool:
        return self._up
