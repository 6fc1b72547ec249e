"""Images as encoded bytes in a column of Parquet tables."""

from collections.abc import Callable, Iterator
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.datasets.find_files import find_files
from pipeline.datasets.folder import target_uri
from pipeline.datasets.plan import ShardFile
from pipeline.errors import PlanError, ShardBrokenError, StorageError
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec
from pipeline.storage.listing import StoredObject
from pipeline.storage.storage import Storage
from pipeline.storage.uris import fault_of, resolve, shown, without_extension

_BATCH_ROWS: Final = 16
_BUFFER_BYTES: Final = 1 << 20


def holds_uris(dataset: DatasetSpec, storage: Storage) -> bool:
    """Say whether a table's image column holds URIs, so that the table is a manifest.

    Raises:
        PlanError: There is no table, no such column, or it can hold no images; or it is a manifest,
            and `targets` is given.
        StorageError: A location cannot be looked at.
    """
    columns = dataset.columns or ColumnsSpec()
    for file in find_files(dataset, storage):
        try:
            with storage.open(file.uri) as content:
                schema = pq.read_schema(content)
        except pa.ArrowInvalid:
            continue  # one that is damaged becomes a row; another may tell
        for name in (columns.image, columns.target, columns.key):
            if name is not None and name not in schema.names:
                raise PlanError(
                    dataset.name,
                    f"{shown(file.uri)} has no column {name!r}; it has: {', '.join(schema.names)}. "
                    "Say in `columns` which hold image, target and key",
                )
        kind = schema.field(columns.image).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if dataset.targets is not None:
                raise PlanError(
                    dataset.name,
                    f"{shown(file.uri)}: column {columns.image!r} holds URIs; give the targets' "
                    "in a column as well, by `columns: {target: ...}` in place of `targets`",
                )
            return True
        if _is_bytes(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
            return False
        raise PlanError(
            dataset.name,
            f"{shown(file.uri)}: column {columns.image!r} is {kind}; images are encoded bytes, "
            "structs of `bytes` and `path`, or URIs",
        )
    raise PlanError(dataset.name, f"{shown(dataset.images)} has no table that can be read")


def list_shards(dataset: DatasetSpec, storage: Storage, *, shard_images: int) -> list[ShardFile]:
    """Cut a dataset's tables into shards of whole row groups.

    Args:
        dataset: The dataset.
        storage: Access to it.
        shard_images: Rows in a shard at most, but for a row group that is larger.

    Raises:
        PlanError: There is none, or one that is named is not there.
        StorageError: A location cannot be looked at.
    """
    return [
        shard
        for file in find_files(dataset, storage)
        for shard in _shards(file, _row_groups(file, storage), shard_images)
    ]


def read_rows(
    stream: IO[bytes],
    shard: ShardFile,
    columns: ColumnsSpec,
    read: Callable[[str], bytes],
    targets: str | None = None,
) -> Iterator[EncodedImage]:
    """Yield the images in a shard's row groups.

    Args:
        stream: The table's file.
        shard: Which row groups.
        columns: Which columns hold image, target and key.
        read: Reads what a struct names by `path` alone, and what `targets` names.
        targets: Pattern of the URIs of targets that are not in the table, filled in by keys.

    Raises:
        ShardBrokenError: The table is damaged, after the rows that were read.
    """
    names = [name for name in (columns.image, columns.target, columns.key) if name is not None]
    row = shard.first_row or 0
    try:
        file = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        first = shard.first_row_group or 0
        count = file.num_row_groups if shard.row_groups is None else shard.row_groups
        for group in range(first, first + count):  # a batch must not wait for damaged groups
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
                for values in batch.to_pylist():
                    yield _encoded_image(row, values, shard.uri, columns, read, targets=targets)
                    row += 1
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the storage's; what Arrow says of damaged data has no number
        raise ShardBrokenError(f"is damaged from row {row} on: {error}", at_end=False) from error


def _row_groups(file: StoredObject, storage: Storage) -> list[int] | None:
    """Return the rows of each row group; None for a file without a readable footer."""
    try:
        with storage.open(file.uri) as content:
            metadata = pq.ParquetFile(content).metadata
    except pa.ArrowInvalid:
        return None
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def _shards(
    file: StoredObject, row_groups: list[int] | None, shard_images: int
) -> Iterator[ShardFile]:
    whole = ShardFile(f"{file.uri}#{0:06d}", file.uri, file.size_bytes, file.stamp)
    if not row_groups:
        yield whole
        return
    number = first = first_row = rows = 0
    for group, count in enumerate([*row_groups, shard_images]):
        full = rows + count > shard_images or group == len(row_groups)
        if group > first and full:
            yield ShardFile(
                f"{file.uri}#{number:06d}",
                file.uri,
                file.size_bytes,
                file.stamp,
                first_row_group=first,
                row_groups=group - first,
                first_row=first_row,
                images=rows,
            )
            number, first, first_row, rows = number + 1, group, first_row + rows, 0
        rows += count


def _encoded_image(
    row: int,
    values: dict[str, Any],
    uri: str,
    columns: ColumnsSpec,
    read: Callable[[str], bytes],
    *,
    targets: str | None,
) -> EncodedImage:
    folder, key = uri.rpartition("/")[0], _key(row, values, columns)
    target_place = f"{uri}#{row}" if targets is None else target_uri(targets, key)
    status, error = "ok", None
    image = target = None
    try:
        image = _content(values[columns.image], folder, read)
        if targets is not None and image is not None:
            target = read(target_place)
        elif columns.target is not None and values[columns.target] is not None:
            target = _content(values[columns.target], folder, read)
    except _RefusedError as failure:
        status, error = "missing_target" if image else "unreadable", str(failure)
    except StorageError as failure:
        if not isinstance(failure.__cause__, PermissionError | FileNotFoundError):
            raise  # of the storage as a whole: the part is tried again
        status, error = "missing_target" if image else "unreadable", str(failure)
    if image is None and error is None:
        status, error = "unreadable", f"there is no image in column {columns.image!r}"
    return EncodedImage(
        index=row,
        key=key,
        flags=[],
        uri=f"{uri}#{row}",
        target_uri=target_place if target is not None else None,
        status=status,
        error=error,
        image=image,
        target=target,
    )


def _content(value: Any, folder: str, read: Callable[[str], bytes]) -> bytes | None:
    """Return the bytes in a cell: as such, in a struct, or behind a struct's path."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return read(_followed(value, folder))
    if value.get("bytes") is None and value.get("path"):
        return read(_followed(value["path"], folder))
    content: bytes | None = value.get("bytes")
    return content


def _followed(location: str, folder: str) -> str:
    """Return the URI of a location that stands in a table.

    Raises:
        _RefusedError: It is one that data may not lead to.
    """
    uri = resolve(location, folder)
    if fault := fault_of(uri):
        raise _RefusedError(f"{location!r} is not followed: {fault}")
    return uri


class _RefusedError(Exception):
    """A location in a table is not followed."""


def _key(row: int, values: dict[str, Any], columns: ColumnsSpec) -> str:
    if columns.key is not None:
        return str(values[columns.key])
    image = values[columns.image]
    path = image.get("path") if isinstance(image, dict) else None
    return without_extension(path) if path else str(row)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )
