"""From a dataset's spec to its plan: which source lists it, and how."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets import folder, manifest, parquet_table, webdataset
from pipeline.datasets.find_files import find_files
from pipeline.datasets.plan import (
    LISTED_SCHEMA,
    PLAN_SCHEMA,
    SHARD_PARTS,
    SHARDS_SCHEMA,
    DatasetPlan,
    ShardFile,
)
from pipeline.datasets.shards import count_images
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import glob_base, shown

_SHOWN_FILES = 5


def plan_dataset(dataset: DatasetSpec, spec: JobSpec, storage: Storage) -> DatasetPlan:
    """List a dataset and plan its shards.

    Raises:
        PlanError: There is nothing to be planned, or something in the dataset's files is wrong.
        StorageError: A location cannot be looked at.
    """
    shards = _list_shards(dataset, spec, storage)
    if shards is not None:
        limited = shards if spec.limit_images is None else _first(dataset, shards, spec, storage)
        return plan_shard_files(dataset.name, limited)
    listed = list_images(dataset, storage).slice(0, spec.limit_images)
    return _plan_listed(dataset, spec, listed, after=None)


def extend_plan(
    dataset: DatasetSpec, spec: JobSpec, storage: Storage, known: pa.Table
) -> DatasetPlan:
    """List a dataset again; what is new becomes new shards behind those of the plan.

    Args:
        dataset: The dataset.
        spec: The job.
        storage: Access to the dataset.
        known: The whole table of its plan, which stays as it is: objects that have changed since
            or are gone keep their rows.

    Raises:
        PlanError: A known tar or table has changed: what it holds now cannot be told from what is
            committed of it.
        StorageError: A location cannot be looked at.
    """
    if "part" not in known.schema.names:
        _check_unchanged(dataset, known, storage)
    shards = _list_shards(dataset, spec, storage)
    if (shards is None) != ("part" in known.schema.names):
        raise PlanError(
            dataset.name,
            f"{shown(dataset.images)} held {'URIs' if shards is not None else 'encoded images'} "
            "when it was planned, and holds the other kind now; put back what was planned, or give "
            "another `output`",
        )
    if shards is not None:
        names = set(known["shard"].to_pylist())
        new = plan_shard_files(
            dataset.name, [shard for shard in shards if shard.shard not in names]
        )
        return DatasetPlan(dataset.name, pa.concat_tables([known, new.table]))
    listed = list_images(dataset, storage)
    new_images = listed.filter(pc.invert(pc.is_in(listed["uri"], known["uri"])))
    return _plan_listed(dataset, spec, new_images, after=known)


def _check_unchanged(dataset: DatasetSpec, known: pa.Table, storage: Storage) -> None:
    """Raise PlanError if a tar or table is not what it was when it was planned."""
    planned = {row["uri"]: (row["size_bytes"], row["stamp"]) for row in known.to_pylist()}
    changed = [
        file
        for file in find_files(dataset, storage)
        if planned.get(file.uri) not in (None, (file.size_bytes, file.stamp))
    ]
    if not changed:
        return
    named = "; ".join(
        f"{shown(file.uri)} ({planned[file.uri][0]} bytes, stamp {planned[file.uri][1]} when it "
        f"was planned; {file.size_bytes} bytes, stamp {file.stamp} now)"
        for file in changed[:_SHOWN_FILES]
    )
    more = f"; and {len(changed) - _SHOWN_FILES} more" if len(changed) > _SHOWN_FILES else ""
    raise PlanError(
        dataset.name,
        f"{len(changed)} of its files have changed since they were planned: {named}{more}. Put the "
        "planned files back and give new images as new files; or give another `output`, or "
        "--overwrite, to make all anew",
    )


def list_images(dataset: DatasetSpec, storage: Storage) -> pa.Table:
    """List the images of a dataset that are single objects; columns as in `LISTED_SCHEMA`.

    Raises:
        PlanError: There are none, or something in the dataset's files is wrong.
        StorageError: A location cannot be looked at.
    """
    source = folder if dataset.format == "folder" else manifest
    return source.list_images(dataset, storage)


def _list_shards(
    dataset: DatasetSpec, spec: JobSpec, storage: Storage
) -> Sequence[ShardFile] | None:
    """Return the shards of a dataset whose files hold many images each, None for another."""
    if dataset.format == "webdataset":
        return webdataset.list_shards(dataset, storage)
    if dataset.format == "parquet" and not parquet_table.holds_uris(dataset, storage):
        shard_images = SHARD_PARTS * spec.part_images
        return parquet_table.list_shards(dataset, storage, shard_images=shard_images)
    return None


def _plan_listed(
    dataset: DatasetSpec, spec: JobSpec, listed: pa.Table, after: pa.Table | None
) -> DatasetPlan:
    return plan_images(
        dataset.name,
        glob_base(dataset.images) if dataset.format == "folder" else dataset.images,
        listed,
        part_images=spec.part_images,
        part_bytes=int(spec.part_bytes),
        after=after,
    )


def _first(
    dataset: DatasetSpec, shards: Sequence[ShardFile], spec: JobSpec, storage: Storage
) -> list[ShardFile]:
    """Return the shards that hold the first images; tars are read as far as that takes."""
    taken = []
    left = spec.limit_images or 0
    for shard in shards:
        if left == 0:
            break
        images = shard.images
        if images is None and dataset.format == "webdataset":
            images = count_images(dataset, shard, left, storage)
        taken.append(replace(shard, take_images=left))
        left -= min(left, images or 0)
    return taken


def plan_images(
    dataset: str,
    source: str,
    listed: pa.Table,
    *,
    part_images: int,
    part_bytes: int,
    after: pa.Table | None = None,
) -> DatasetPlan:
    """Cut a list of images into parts, and every `SHARD_PARTS` parts into a shard.

    Args:
        dataset: The dataset's name.
        source: URI of the folder or manifest, which the shards are named after.
        listed: Columns as in `LISTED_SCHEMA`, in the order in which images will be read.
        part_images: Images in a part at most.
        part_bytes: Encoded bytes of a part's images at most; a larger image is a part alone.
        after: Rows of an older plan, which stay as they are; the new shards follow behind them.
    """
    first_shard = len(DatasetPlan(dataset, after).shards) if after is not None else 0
    keys = [listed["key"]] if after is None else [after["key"], listed["key"]]
    parts = _cut(_sizes(listed), part_images, part_bytes)
    shards, numbers = np.divmod(parts, SHARD_PARTS)
    positions = np.arange(len(parts))
    starts = np.flatnonzero(np.diff(shards, prepend=-1))
    index = positions - starts[shards] if len(parts) else positions
    names = [f"{source}#{first_shard + number:06d}" for number in range(len(starts))]
    columns = {
        "shard": pa.array(names, pa.string()).take(pa.array(shards)),
        "part": pa.array(numbers, pa.int32()),
        "index": pa.array(index, pa.int64()),
        "duplicate_key": _repeats(keys, listed["key"]),
        **{name: listed[name] for name in LISTED_SCHEMA.names},
    }
    table = pa.table(columns, schema=PLAN_SCHEMA)
    return DatasetPlan(dataset, table if after is None else pa.concat_tables([after, table]))


def plan_shard_files(dataset: str, files: Sequence[ShardFile]) -> DatasetPlan:
    """Return the plan of a dataset whose shards are files, in the order given."""
    rows = [vars(file) for file in files]
    return DatasetPlan(dataset, pa.Table.from_pylist(rows, schema=SHARDS_SCHEMA))


def _sizes(listed: pa.Table) -> npt.NDArray[np.int64]:
    sizes: npt.NDArray[np.int64] = pc.fill_null(listed["size_bytes"], 0).to_numpy()
    return sizes


def _cut(
    sizes_bytes: npt.NDArray[np.int64], part_images: int, part_bytes: int
) -> npt.NDArray[np.int64]:
    """Return the number of each image's part, counted over all shards."""
    parts = np.empty(len(sizes_bytes), dtype=np.int64)
    part = images = filled_bytes = 0
    for position, size_bytes in enumerate(sizes_bytes.tolist()):
        if images and (images == part_images or filled_bytes + size_bytes > part_bytes):
            part, images, filled_bytes = part + 1, 0, 0
        parts[position] = part
        images, filled_bytes = images + 1, filled_bytes + size_bytes
    return parts


def _repeats(keys: Sequence[pa.ChunkedArray], of: pa.ChunkedArray) -> pa.ChunkedArray:
    """Say of each key whether it is there more than once among all `keys`.

    Keys whose hash occurs once are out before any is counted: a table of a million would hold a
    hundred megabytes.
    """
    everything = pa.chunked_array([chunk for column in keys for chunk in column.chunks])
    hashes = np.concatenate(
        [
            np.fromiter(map(hash, chunk.to_pylist()), np.int64, len(chunk))
            for chunk in (pa.array([], pa.string()), *everything.chunks)
        ]
    )
    order = np.sort(hashes)
    repeated_hashes = order[1:][order[1:] == order[:-1]]
    counts = everything.filter(pa.array(np.isin(hashes, repeated_hashes))).value_counts()
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.is_in(of, value_set=repeated)
