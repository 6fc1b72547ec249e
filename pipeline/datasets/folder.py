"""Images as files below a folder, targets as files beside them."""

from collections.abc import Callable
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.listed_locations import target_folder
from pipeline.datasets.plan import LISTED_SCHEMA
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import glob_base, shown, without_extension

_OBJECTS: Final = pa.schema(
    [("uri", pa.string()), ("size_bytes", pa.int64()), ("stamp", pa.string())]
)


def list_images(dataset: DatasetSpec, storage: Storage) -> pa.Table:
    """List a dataset's images in byte order of their URIs, each with its target.

    Args:
        dataset: Its `images` is a glob, or a folder, which means every file below it. In
            `targets`, `{stem}` stands for an image's file name without extension, `{relpath}`
            for its path below the glob's fixed part, without extension.
        storage: Access to both.

    Returns:
        Columns as in `LISTED_SCHEMA`.

    Raises:
        PlanError: There are no images, or a target is missing and `targets_missing` is "error".
        StorageError: A location cannot be listed.
    """
    images = _list_objects(dataset.images, storage)
    if not images.num_rows:
        raise PlanError(
            dataset.name, f"no images at {shown(dataset.images)}; check the folder and the pattern"
        )
    images = _sorted(images)
    keys = _map(images["uri"], partial(_key, start=len(glob_base(dataset.images))))
    columns = {"key": keys, **{name: images[name] for name in _OBJECTS.names}}
    if dataset.targets:
        expected = _map(keys, partial(target_uri, dataset.targets))
        targets = _list_objects(target_folder(dataset.targets), storage)
        columns |= _match_targets(expected, targets)
    else:
        columns |= {
            field.name: pa.nulls(len(keys), field.type) for field in list(LISTED_SCHEMA)[-3:]
        }
    listed = pa.table(columns, schema=LISTED_SCHEMA)
    if dataset.targets and dataset.targets_missing == "error":
        _check_targets(dataset, listed)
    return listed


def _list_objects(pattern: str, storage: Storage) -> pa.Table:
    """List what matches a glob or lies below a folder; columns uri, size_bytes and stamp.

    Pages become columns as they come: a million objects are a hundred megabytes.
    """
    pages = [
        pa.table(
            [
                [found.uri for found in page],
                [found.size_bytes for found in page],
                [found.stamp for found in page],
            ],
            schema=_OBJECTS,
        )
        for page in storage.pages(pattern)
    ]
    return pa.concat_tables([_OBJECTS.empty_table(), *pages])


def _sorted(images: pa.Table) -> pa.Table:
    """Return the images in byte order of their URIs, in which object stores list them anyway."""
    uris = images["uri"]
    if pc.all(pc.less_equal(uris[:-1], uris[1:])).as_py() is not False:
        return images
    return images.take(pc.sort_indices(uris))


def _map(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.ChunkedArray:
    """Return a column of text changed item by item; chunk by chunk, for Python's text is large."""
    chunks = [
        pa.array([change(text) for text in chunk.to_pylist()], pa.string())
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.string())


def _key(uri: str, start: int) -> str:
    return without_extension(uri[start:].lstrip("/"))


def target_uri(pattern: str, key: str) -> str:
    """Return the URI of the target of an image, by the image's key."""
    return pattern.replace("{relpath}", key).replace("{stem}", key.rpartition("/")[2])


def _match_targets(expected: pa.ChunkedArray, found: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return the target columns: null where what is expected was not found."""
    places = pc.index_in(expected, value_set=found["uri"])
    matched = found.take(places)
    return {f"target_{name}": matched[name] for name in _OBJECTS.names}


def _check_targets(dataset: DatasetSpec, listed: pa.Table) -> None:
    missing = listed.filter(pc.is_null(listed["target_uri"]))
    if missing.num_rows:
        uri = shown(missing["uri"][0].as_py())
        expected = target_uri(dataset.targets or "", missing["key"][0].as_py())
        raise PlanError(
            dataset.name,
            f"{missing.num_rows} of {listed.num_rows} images have no target; the first is "
            f"{uri}, whose target would be {shown(expected)}. Mend the `targets` pattern, add the "
            "files, or set `targets_missing: row` to score the others",
        )
