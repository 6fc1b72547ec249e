"""Which process runs which tests: a file at a time, and one process for all that start a Ray."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling


class FilesAtATime(LoadScopeScheduling):
    """Hand out files, all that start a Ray as if they were one.

    Several Rays at once keep each other waiting for longer than they take.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "ray" if starts_ray(self.config.rootpath / file) else file


@cache
def starts_ray(file: Path) -> bool:
    """Say whether a test file has tests with the mark `ray`."""
    return "mark.ray" in file.read_text(encoding="utf-8")
