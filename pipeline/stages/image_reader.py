"""Shards whose images are single objects, listed by the plan."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any

import pyarrow.parquet as pq

from pipeline.datasets.encoded_image import MAX_ENCODED_BYTES, EncodedImage
from pipeline.errors import StorageError
from pipeline.output.output_folder import Output
from pipeline.output.part_name import Ending, Part
from pipeline.output.work_item import WorkItem
from pipeline.stages.encoded_part import EncodedPart
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

_THREADS = 16  # requests in flight: an object store answers one in some 10 to 50 ms


def read_planned_images(item: WorkItem, output: Output, storage: Storage) -> Iterator[EncodedPart]:
    """Yield the parts of a shard that are not committed, as the frozen plan lists them."""
    rows = _planned_rows(item, output)
    last = rows[-1]["part"]
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, members in groupby(rows, key=lambda row: int(row["part"])):
            listed = list(members)
            ending: Ending = "end" if number == last else ""
            part = Part(item.dataset, item.shard, number, len(listed), ending)
            redo = number in item.redo
            if number in item.done or (not redo and storage.exists(output.part_uri(part))):
                continue
            yield _read_part(part, listed, storage, pool, replaces=redo)


def _read_part(
    part: Part,
    rows: list[dict[str, Any]],
    storage: Storage,
    pool: ThreadPoolExecutor,
    *,
    replaces: bool,
) -> EncodedPart:
    start = time.perf_counter()
    images = list(pool.map(partial(_read, storage=storage), rows))
    return EncodedPart(part, images, time.perf_counter() - start, replaces=replaces)


def _planned_rows(item: WorkItem, output: Output) -> list[dict[str, Any]]:
    with output.storage.open(output.plan_uri(item.dataset)) as file:
        rows: list[dict[str, Any]] = pq.ParquetFile(file).read_row_group(item.row_group).to_pylist()
    return rows


def _read(row: Mapping[str, Any], storage: Storage) -> EncodedImage:
    """Read an image and its target; an object gone, forbidden or changed is a row's fault.

    An image whose target alone is at fault is predicted all the same, but not scored.
    """
    status, error, image, target = "ok", None, None, None
    try:
        image = _read_unchanged(row, "", storage)
        if row["target_uri"] is not None:
            target = _read_unchanged(row, "target_", storage)
    except _TooLargeError as failure:
        status, error = "too_large" if image is None else "bad_target", str(failure)
    except _GoneError as failure:
        status, error = "unreadable" if image is None else "missing_target", str(failure)
    except _ChangedError as failure:
        status, error = "changed", str(failure)
    return EncodedImage(
        index=row["index"],
        key=row["key"],
        flags=["duplicate_key"] if row["duplicate_key"] else [],
        uri=row["uri"],
        target_uri=row["target_uri"],
        status=status,
        error=error,
        image=image,
        target=target,
    )


def _read_unchanged(row: Mapping[str, Any], kind: str, storage: Storage) -> bytes:
    """Return an object's bytes if it is the one that was planned.

    Trouble with the storage as a whole passes through: the part is then tried again.
    """
    uri, size_bytes, stamp = row[f"{kind}uri"], row[f"{kind}size_bytes"], row[f"{kind}stamp"]
    if size_bytes is not None and size_bytes > MAX_ENCODED_BYTES:
        raise _TooLargeError(f"{size_bytes} encoded bytes are more than {MAX_ENCODED_BYTES}")
    try:
        found = storage.stat(uri)
        if (found.size_bytes, found.stamp) == (size_bytes, stamp):
            data = storage.read(uri)
    except FileNotFoundError as error:
        was = "is not there, as when it was planned" if stamp is None else "is gone since planned"
        raise _GoneError(f"{shown(uri)} {was}") from error
    except StorageError as error:
        if isinstance(error.__cause__, PermissionError | FileNotFoundError):
            raise _GoneError(str(error)) from error
        raise
    if (found.size_bytes, found.stamp) != (size_bytes, stamp):
        then = f"{size_bytes} bytes, stamp {stamp}" if stamp is not None else "not there"
        raise _ChangedError(
            f"{shown(uri)} has changed since it was planned: {then} then; {found.size_bytes} "
            f"bytes, stamp {found.stamp} now"
        )
    if len(data) != size_bytes:
        raise _ChangedError(f"{shown(uri)} gave {len(data)} bytes where {size_bytes} were planned")
    return data


class _GoneError(Exception):
    """An object that was planned is not there any more, or may not be read."""


class _ChangedError(Exception):
    """An object is not the one that was planned."""


class _TooLargeError(Exception):
    """An object has more bytes than one image may have."""
