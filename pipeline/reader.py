"""The reading stage: a shard streams out as parts of encoded bytes."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.encoded_part import EncodedImage, EncodedPart
from pipeline.errors import StorageError
from pipeline.output import Output
from pipeline.plan import Part, Shard
from pipeline.storage import Storage
from pipeline.uris import shown

_THREADS = 16  # requests in flight: an object store answers one in some 10 to 50 ms


def work_item(shard: Shard) -> dict[str, Any]:
    """Return a shard as the row that a `Reader` takes: small, since the plan holds the rest."""
    return {
        "dataset": shard.dataset,
        "row_group": shard.row_group,
        "parts": [part.number for part in shard.parts],
    }


class Reader:
    """Read the images and targets of a shard's parts, as the frozen plan lists them.

    Args:
        output: Where the plan lies, and the parts that are committed.
        storage: Access to images and targets.
    """

    def __init__(self, output: Output, storage: Storage) -> None:
        self.output = output
        self.storage = storage

    def __call__(self, items: pa.Table) -> Iterator[pa.Table]:
        """Yield each part that is still to be made as a table of one row."""
        for item in items.to_pylist():
            rows = self._planned_rows(item)
            with ThreadPoolExecutor(_THREADS) as pool:
                for part in _parts(item, rows):
                    if not self.storage.exists(self.output.part_uri(part)):
                        members = [row for row in rows if row["part"] == part.number]
                        start = time.perf_counter()
                        images = list(pool.map(self._read, members))
                        read_s = time.perf_counter() - start
                        yield EncodedPart(part, images, read_s).to_table()

    def _planned_rows(self, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self.storage.open(self.output.plan_uri(item["dataset"])) as file:
            rows: list[dict[str, Any]] = (
                pq.ParquetFile(file).read_row_group(item["row_group"]).to_pylist()
            )
        return rows

    def _read(self, row: Mapping[str, Any]) -> EncodedImage:
        """Read an image and its target; an object gone, forbidden or changed is a row's fault.

        An image whose target alone is at fault is predicted all the same, but not scored.
        """
        status, error, image, target = "ok", None, None, None
        try:
            image = self._read_unchanged(row["uri"], row["size_bytes"], row["stamp"])
            if row["target_uri"] is not None:
                target = self._read_unchanged(
                    row["target_uri"], row["target_size_bytes"], row["target_stamp"]
                )
        except _GoneError as failure:
            status, error = "unreadable" if image is None else "missing_target", str(failure)
        except _ChangedError as failure:
            status, error = "changed", str(failure)
        return EncodedImage(
            index=row["index"],
            key=row["key"],
            duplicate_key=row["duplicate_key"],
            uri=row["uri"],
            target_uri=row["target_uri"],
            status=status,
            error=error,
            image=image,
            target=target,
        )

    def _read_unchanged(self, uri: str, size_bytes: int, stamp: str) -> bytes:
        """Return an object's bytes if it is the one that was planned.

        Trouble with the storage as a whole passes through: the part is then tried again.
        """
        try:
            found = self.storage.stat(uri)
            data = self.storage.read(uri)
        except FileNotFoundError as error:
            raise _GoneError(f"{shown(uri)} is gone since it was planned") from error
        except StorageError as error:
            if isinstance(error.__cause__, PermissionError | FileNotFoundError):
                raise _GoneError(str(error)) from error
            raise
        if (found.size_bytes, found.stamp) != (size_bytes, stamp):
            raise _ChangedError(
                f"{shown(uri)} has changed since it was planned: {size_bytes} bytes, stamp "
                f"{stamp} then; {found.size_bytes} bytes, stamp {found.stamp} now"
            )
        if len(data) != size_bytes:
            raise _ChangedError(
                f"{shown(uri)} gave {len(data)} bytes where {size_bytes} were planned"
            )
        return data


class _GoneError(Exception):
    """An object that was planned is not there any more, or may not be read."""


class _ChangedError(Exception):
    """An object is not the one that was planned."""


def _parts(item: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[Part]:
    """Return the parts of a work item, with what the plan's rows say of them."""
    numbers = [row["part"] for row in rows]
    return [
        Part(
            dataset=item["dataset"],
            shard=rows[0]["shard"],
            number=number,
            images=numbers.count(number),
            last=number == numbers[-1],
        )
        for number in item["parts"]
    ]
