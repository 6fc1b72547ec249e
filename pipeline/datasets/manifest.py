"""Images by their URIs in a manifest: CSV, JSON lines, or a Parquet table."""

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from pipeline.datasets.find_files import find_files
from pipeline.datasets.plan import LISTED_SCHEMA
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec
from pipeline.storage.listing import StoredObject
from pipeline.storage.storage import Storage
from pipeline.storage.uris import extension, fault_of, join, resolve, shown, without_extension

_THREADS: Final = 32
_LIST_FROM: Final = 50  # images named in one folder from which on listing it is cheaper


def list_images(dataset: DatasetSpec, storage: Storage) -> pa.Table:
    """Read a manifest's images in byte order of their URIs, each with its target.

    Locations without a protocol are taken from the manifest's folder. An image that is not there
    is planned with a null size and stamp, and becomes an `unreadable` row.

    Returns:
        Columns as in `LISTED_SCHEMA`.

    Raises:
        PlanError: A column or a URI is missing, the file cannot be read as what its name says, or
            an image has no target and `targets_missing` is "error".
        StorageError: A location cannot be looked at.
    """
    columns = dataset.columns or ColumnsSpec()
    tables = [_read(dataset, uri.uri, columns, storage) for uri in find_files(dataset, storage)]
    named = pa.concat_tables(tables).combine_chunks()
    named = named.take(pc.sort_indices(named["uri"]))
    if columns.target and dataset.targets_missing == "error":
        _check_targets(dataset, named)
    found = _stat(named["uri"].to_pylist(), storage)
    targets = _stat(named["target_uri"].to_pylist(), storage)
    if dataset.targets_missing == "error":
        _check_found(dataset, named["target_uri"].to_pylist(), targets)
    if columns.key is None:
        keys = _keys(named["uri"].to_pylist())
        named = named.set_column(0, "key", pa.array(keys, pa.string()))
    return pa.table(
        {
            "key": named["key"],
            "uri": named["uri"],
            "size_bytes": [known and known.size_bytes for known in found],
            "stamp": [known and known.stamp for known in found],
            "target_uri": named["target_uri"],
            "target_size_bytes": [known and known.size_bytes for known in targets],
            "target_stamp": [known and known.stamp for known in targets],
        },
        schema=LISTED_SCHEMA,
    )


def _read(dataset: DatasetSpec, uri: str, columns: ColumnsSpec, storage: Storage) -> pa.Table:
    """Return key, uri and target_uri of one manifest's images."""
    names = [name for name in (columns.key, columns.image, columns.target) if name is not None]
    try:
        table = _read_columns(uri, storage.read(uri), names)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise PlanError(
            dataset.name,
            f"{shown(uri)} cannot be read as a manifest: {error}. Manifests are .csv, .jsonl or "
            ".parquet files, whose columns `columns` names",
        ) from error
    missing = sorted(set(names) - set(table.schema.names))
    if missing:
        raise PlanError(
            dataset.name,
            f"{shown(uri)} has no column {missing[0]!r}; it has: {', '.join(table.schema.names)}. "
            "Say in `columns` which hold image, target and key",
        )
    images = table[columns.image].to_pylist()
    if None in images or "" in images:
        row = next(row for row, image in enumerate(images) if not image)
        raise PlanError(dataset.name, f"{shown(uri)}: row {row} (from 0) names no image")
    folder = uri.rpartition("/")[0]
    absolute = [resolve(str(image), folder) for image in images]
    targets: Sequence[str | None] = [None] * len(images)
    if columns.target:
        targets = [t and resolve(str(t), folder) for t in table[columns.target].to_pylist()]
    _check_locations(dataset, uri, absolute)
    _check_locations(dataset, uri, targets)
    keys = table[columns.key].to_pylist() if columns.key else images
    return pa.table(
        {
            "key": pa.array([str(key) for key in keys], pa.string()),
            "uri": pa.array(absolute, pa.string()),
            "target_uri": pa.array(targets, pa.string()),
        }
    )


def _check_locations(dataset: DatasetSpec, uri: str, locations: Sequence[str | None]) -> None:
    for row, location in enumerate(locations):
        fault = location and fault_of(location)
        if fault:
            raise PlanError(
                dataset.name,
                f"{shown(uri)}: row {row} (from 0) names {location!r}, which is not followed: "
                f"{fault}. Mend the manifest",
            )


def _read_columns(uri: str, data: bytes, names: Sequence[str]) -> pa.Table:
    kind = extension(uri)
    if kind == "parquet":
        return pq.read_table(pa.BufferReader(data))
    if kind in ("jsonl", "ndjson", "json"):
        return pyarrow.json.read_json(io.BytesIO(data))
    if kind == "csv":
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return pyarrow.csv.read_csv(io.BytesIO(data), parse_options=parse, convert_options=convert)
    raise pa.ArrowInvalid(f"its name ends in {kind!r}")


def _keys(uris: Sequence[str]) -> list[str]:
    """Return each URI's path below the folder that all share, without its extension."""
    folders = [uri.rpartition("/")[0].split("/") for uri in (min(uris), max(uris))]
    depth = 0
    for one, other in zip(*folders, strict=False):
        if one != other:
            break
        depth += len(one) + 1
    return [without_extension(uri[depth:]) for uri in uris]


def _check_targets(dataset: DatasetSpec, named: pa.Table) -> None:
    missing = named.filter(pc.is_null(named["target_uri"]))
    if missing.num_rows:
        raise PlanError(
            dataset.name,
            f"{missing.num_rows} of {named.num_rows} images have no target; the first is "
            f"{shown(missing['uri'][0].as_py())}. Fill the column, or set `targets_missing: row` "
            "to score the others",
        )


def _check_found(
    dataset: DatasetSpec, uris: Sequence[str | None], targets: Sequence[StoredObject | None]
) -> None:
    gone = [uri for uri, target in zip(uris, targets, strict=True) if uri and target is None]
    if gone:
        raise PlanError(
            dataset.name,
            f"{len(gone)} targets are not there, the first is {shown(gone[0])}. Mend the "
            "manifest, add the files, or set `targets_missing: row` to score the others",
        )


def _stat(uris: Sequence[str | None], storage: Storage) -> list[StoredObject | None]:
    """Return what each URI is, None if it is not there.

    Where many lie in one folder, listing it takes a request for a thousand instead of for one.
    """
    wanted = {uri for uri in uris if uri is not None}
    folders = Counter(uri.rpartition("/")[0] for uri in wanted)
    known: defaultdict[str, StoredObject | None] = defaultdict(lambda: None)
    listed = {folder for folder, named in folders.items() if named >= _LIST_FROM}
    for folder in listed:
        for page in storage.pages(join(folder, "*")):
            known.update({found.uri: found for found in page if found.uri in wanted})
    single = [uri for uri in wanted if uri.rpartition("/")[0] not in listed]

    def look(uri: str) -> StoredObject | None:
        try:
            return storage.stat(uri)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        known.update(zip(single, pool.map(look, single), strict=True))
    return [known[uri] if uri is not None else None for uri in uris]
