"""A user who opens the mask table again and again while it is being written."""

import random
import threading
import time
from typing import Self

import aiohttp
import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet as pq
import s3fs

_PAUSE_S = 0.05
# What a client raises while the server is away: nothing is said about a part's content.
_AWAY = (OSError, aiohttp.ClientError, botocore.exceptions.BotoCoreError)


class PartReader:
    """Reads every part it sees, all columns, and some of them again, while the context is entered.

    Args:
        filesystem: A client of the server, of its own.
        folder: Of the mask table, with its bucket.

    Attributes:
        num_parts: How many parts the last listing showed.
        reads: How often a part was read whole.
        away: How often the server could not be reached.
        broken: What was wrong with a part: it cannot be read, has changed, or is gone.
    """

    def __init__(self, filesystem: s3fs.S3FileSystem, folder: str) -> None:
        self.num_parts = self.reads = self.away = 0
        self.broken: list[str] = []
        self._filesystem = filesystem
        self._folder = folder
        self._seen: dict[str, bytes] = {}
        self._random = random.Random(0)  # noqa: S311 - any part will do
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(_PAUSE_S):
            try:
                names = list_parts(self._filesystem, self._folder)
                self.num_parts = len(names)
                self.broken += [f"{name} is gone" for name in set(self._seen) - set(names)]
                new = [name for name in names if name not in self._seen]
                for name in [*new, *self._random.sample(names, min(1, len(names)))]:
                    self._check(name, self._filesystem.cat_file(f"{self._folder}/{name}"))
            except _AWAY:
                self.away += 1
                time.sleep(_PAUSE_S)

    def _check(self, name: str, data: bytes) -> None:
        self.reads += 1
        if self._seen.setdefault(name, data) != data:
            self.broken.append(f"{name} has changed")
        try:
            pq.ParquetFile(pa.BufferReader(data)).read()
        except pa.ArrowException as error:
            self.broken.append(f"{name}, {len(data)} bytes: {error}")


def list_parts(filesystem: s3fs.S3FileSystem, folder: str) -> list[str]:
    """Return the names of the part files in a folder, sorted; none if it is not there."""
    try:
        paths = filesystem.ls(folder, detail=False)
    except FileNotFoundError:
        return []
    return sorted(name for path in paths if (name := path.rpartition("/")[2]).endswith(".parquet"))
