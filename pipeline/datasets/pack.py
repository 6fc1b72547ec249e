"""Packing: single images, by the thousand, into shards that a cluster reads well."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.listed_locations import listing_field
from pipeline.datasets.make_plan import list_images
from pipeline.datasets.shard_writers import PackedImage, write_table, write_tar
from pipeline.errors import OutputError, PlanError, StorageError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import extension, join, shown

PackFormat = Literal["webdataset", "parquet"]

_THREADS: Final = 16
_WRITERS: Final = {"webdataset": write_tar, "parquet": write_table}
_REQUEST_FILE: Final = "pack.json"  # what the shards in a folder are made of
_SUFFIXES: Final = {"webdataset": "tar", "parquet": "parquet"}


@dataclass(frozen=True)
class PackedShard:
    """A shard that was written, or was there already."""

    name: str
    images: int
    written: bool


@dataclass(frozen=True)
class PackReport:
    """What became of a packing.

    Attributes:
        shards: The shards, in order.
        failures: Why an image is in none of them, a line for each.
        dataset: Fields of a job spec's dataset that reads the shards.
    """

    shards: list[PackedShard]
    failures: list[str]
    dataset: dict[str, Any]


def pack(
    dataset: DatasetSpec,
    out: str,
    storage: Storage,
    *,
    pack_format: PackFormat = "webdataset",
    shard_bytes: int = 256 << 20,
    observer: Callable[[PackedShard], None] = lambda _: None,
) -> PackReport:
    """Write the images of a folder or manifest into shards, in byte order of their URIs.

    A shard appears whole under its name or not at all; the same call again writes those that are
    missing.

    Args:
        dataset: Its format is "folder" or "manifest".
        out: Folder for the shards.
        storage: Access to both.
        pack_format: Tars, or Parquet tables.
        shard_bytes: Encoded bytes of a shard's images and targets; a larger image is a shard alone.
        observer: Is told of each shard.

    Raises:
        PlanError: There is nothing to pack, or targets are of several kinds.
        OutputError: The folder holds shards of something else.
        StorageError: A location cannot be read or written.
    """
    field = listing_field(dataset, out, [_shard_name(0, pack_format), _REQUEST_FILE])
    if field is not None:
        raise OutputError(
            shown(out),
            f"lies where `{field}`, {shown(getattr(dataset, field))}, lists files, so that shards "
            "would be taken for images; give a folder outside of it",
        )
    listed = list_images(dataset, storage)
    target = _target_extension(dataset.name, listed)
    _claim(out, storage, listed, pack_format, shard_bytes)
    shards, failures = [], []
    for number, rows in enumerate(_cut(listed, shard_bytes)):
        name = _shard_name(number, pack_format)
        written = not storage.exists(join(out, name))
        if written:
            failures += _write(join(out, name), rows, storage, pack_format)
        shards.append(PackedShard(name, rows.num_rows, written))
        observer(shards[-1])
    return PackReport(shards, failures, _dataset(out, shards, pack_format, target))


def _write(uri: str, rows: pa.Table, storage: Storage, pack_format: PackFormat) -> list[str]:
    failures: list[str] = []

    def images() -> Iterator[PackedImage]:
        with ThreadPoolExecutor(_THREADS) as pool:
            for packed in pool.map(partial(_read, storage=storage), rows.to_pylist()):
                if isinstance(packed, str):
                    failures.append(packed)
                else:
                    yield packed

    with storage.write_file(uri) as file:
        _WRITERS[pack_format](file, images())
    return failures


def _read(row: dict[str, Any], storage: Storage) -> PackedImage | str:
    """Return an image with its target, or why there is none."""
    try:
        image = storage.read(row["uri"])
        target_uri = row["target_uri"] if row["target_stamp"] is not None else None
        target = storage.read(target_uri) if target_uri else None
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | PermissionError):
            return str(error)
        raise
    return PackedImage(row["key"], row["uri"], image, target_uri, target)


def _cut(listed: pa.Table, shard_bytes: int) -> Iterator[pa.Table]:
    """Yield runs of images that together are no larger than a shard may be."""
    sizes = pc.add(
        pc.fill_null(listed["size_bytes"], 0), pc.fill_null(listed["target_size_bytes"], 0)
    ).to_numpy()
    start = filled_bytes = 0
    for position, size_bytes in enumerate(sizes.tolist()):
        if position > start and filled_bytes + size_bytes > shard_bytes:
            yield listed.slice(start, position - start)
            start, filled_bytes = position, 0
        filled_bytes += size_bytes
    yield listed.slice(start)


def _target_extension(name: str, listed: pa.Table) -> str | None:
    """Return the extension of the targets: a tar's members have one role by one extension."""
    kinds = sorted({extension(uri) for uri in listed["target_uri"].to_pylist() if uri is not None})
    if len(kinds) > 1:
        raise PlanError(name, f"targets are of several kinds ({', '.join(kinds)}); pack each alone")
    return kinds[0] if kinds else None


def _claim(
    out: str, storage: Storage, listed: pa.Table, pack_format: PackFormat, shard_bytes: int
) -> None:
    """Make the folder this packing's, or find that it is: what is in a shard follows from it."""
    digest = hashlib.sha256()
    for column in ("uri", "stamp", "target_uri", "target_stamp"):
        digest.update(json.dumps(listed[column].to_pylist()).encode())
    content = {"format": pack_format, "shard_bytes": shard_bytes, "images": digest.hexdigest()}
    uri = join(out, _REQUEST_FILE)
    if storage.create(uri, json.dumps(content, indent=2).encode() + b"\n"):
        return
    if json.loads(storage.read(uri)) != content:
        raise OutputError(
            shown(out),
            "holds shards of other images, or of other settings; give another folder, or empty it",
        )


def _shard_name(number: int, pack_format: PackFormat) -> str:
    return f"shard-{number:06d}.{_SUFFIXES[pack_format]}"


def _dataset(
    out: str, shards: list[PackedShard], pack_format: PackFormat, target: str | None
) -> dict[str, Any]:
    last = len(shards) - 1
    numbers = f"{{000000..{last:06d}}}" if last else "000000"
    fields: dict[str, Any] = {
        "format": pack_format,
        "images": shown(join(out, f"shard-{numbers}.{_SUFFIXES[pack_format]}")),
    }
    if pack_format == "parquet":
        fields["columns"] = {"image": "image", "key": "key"}
        if target is not None:
            fields["columns"]["target"] = "target"
    elif target is not None:
        fields["members"] = {"target": f"seg.{target or 'bin'}"}
    return fields
