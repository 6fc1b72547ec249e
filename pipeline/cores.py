"""The CPU cores that this process may use."""

import os


def usable_cores() -> int:
    """Return how many there are; a container or `taskset` may allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
