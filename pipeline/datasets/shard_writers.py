"""Shards as `pack` writes them: tars as WebDataset has them, or Parquet tables of images."""

import io
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.webdataset import KEY_ATTRIBUTE
from pipeline.storage.uris import extension

_ROW_GROUP_BYTES: Final = 32 << 20
_ROW_GROUP_IMAGES: Final = 256

_IMAGE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# As the library `datasets` marks columns of images, so that it opens them as such.
_FEATURES: Final = {
    "info": {
        "features": {
            "key": {"dtype": "string", "_type": "Value"},
            "image": {"_type": "Image"},
            "target": {"_type": "Image"},
        }
    }
}
TABLE_SCHEMA = pa.schema(
    [("key", pa.string()), ("image", _IMAGE), ("target", _IMAGE)],
    metadata={"huggingface": json.dumps(_FEATURES)},
)


@dataclass(frozen=True)
class PackedImage:
    """An image to be packed, encoded, with its target if it has one."""

    key: str
    uri: str
    image: bytes
    target_uri: str | None
    target: bytes | None


def write_tar(file: IO[bytes], images: Iterable[PackedImage]) -> None:
    """Write a tar of samples: `<name>.<extension>`, and `<name>.seg.<extension>` for a target.

    Names are the keys as far as names can be; a key that differs, for its dots or because it is
    there twice, stands in full in the pax attribute `REFINENET.key`.
    """
    names: set[str] = set()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for image in images:
            name = _member_name(image.key, names)
            attributes = {} if name == image.key else {KEY_ATTRIBUTE: image.key}
            suffix = extension(image.uri) or "bin"
            _add(archive, f"{name}.{suffix}", image.image, attributes)
            if image.target is not None:
                suffix = extension(image.target_uri or "") or "bin"
                _add(archive, f"{name}.seg.{suffix}", image.target, attributes)


def write_table(file: IO[bytes], images: Iterable[PackedImage]) -> None:
    """Write a Parquet table with the columns key, image and target, in small row groups."""
    rows: list[dict[str, object]] = []
    size_bytes = 0
    # Images are compressed already, and no two are equal.
    with pq.ParquetWriter(file, TABLE_SCHEMA, compression="none", use_dictionary=False) as writer:
        for image in images:
            more_bytes = len(image.image) + len(image.target or b"")
            full = len(rows) == _ROW_GROUP_IMAGES or size_bytes + more_bytes > _ROW_GROUP_BYTES
            if rows and full:
                writer.write_table(pa.Table.from_pylist(rows, schema=TABLE_SCHEMA))
                rows, size_bytes = [], 0
            rows.append(
                {
                    "key": image.key,
                    "image": _cell(image.image, image.uri),
                    "target": _cell(image.target, image.target_uri),
                }
            )
            size_bytes += more_bytes
        writer.write_table(pa.Table.from_pylist(rows, schema=TABLE_SCHEMA))


def _member_name(key: str, taken: set[str]) -> str:
    """Return a path that is safe to unpack, without dots, and not taken yet."""
    steps = [re.sub(r"[^\w-]", "_", step) for step in key.split("/") if step.strip(".")]
    # Of bytes, for a longer name cannot be unpacked.
    short = "/".join(steps).encode()[:200].decode(errors="ignore")
    wanted = name = short.strip("/_") or "image"
    number = 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


def _add(archive: tarfile.TarFile, name: str, data: bytes, attributes: dict[str, str]) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = attributes
    archive.addfile(info, io.BytesIO(data))


def _cell(data: bytes | None, uri: str | None) -> dict[str, object] | None:
    return None if data is None else {"bytes": data, "path": (uri or "").rpartition("/")[2]}
