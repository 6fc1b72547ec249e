"""Mask tables made up in bulk, for checks of what is computed from them."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.plan import SHARDS_SCHEMA, DatasetPlan
from pipeline.output.mask_png import encode_mask
from pipeline.output.mask_table import MASK_SCHEMA
from pipeline.output.part_file import METADATA_KEY
from pipeline.output.part_name import Part
from pipeline.spec.fingerprint import TABLE_VERSION
from refinenet_core.labels.palettes import png_palette, voc_colours

_CELLS = 40  # non-zero cells of an image's confusion matrix; CamVid's have 37 on average
_MASK_SIZE = (24, 32)  # height, width
_MASKS = 64  # that differ

FINGERPRINT = {"model": "none: the rows are made up", "table_version": TABLE_VERSION}


def write_mask_table(
    output: Path, dataset: str, *, shards: int, parts: int, part_images: int, num_classes: int
) -> DatasetPlan:
    """Write the part files of a dataset with random counts; return its plan."""
    folder = output / "masks" / f"dataset={dataset}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    planned = []
    for number in range(shards):
        name = f"s3://shards/train-{number:06d}.tar"
        planned.append({"shard": name, "uri": name, "size_bytes": 1, "stamp": "1"})
        for index in range(parts):
            ending = "end" if index == parts - 1 else ""
            part = Part(dataset, name, index, part_images, ending)
            rows = _rows(rng, name, index * part_images, part_images, num_classes)
            (folder / part.file_name).write_bytes(_file(rows, part))
    return DatasetPlan(dataset, pa.Table.from_pylist(planned, schema=SHARDS_SCHEMA))


def _rows(rng, shard, first, images, num_classes):
    """Return a table of scored rows; the columns that no summary reads are null."""
    items = images * _CELLS
    offsets = pa.array(np.arange(0, items + 1, _CELLS, dtype=np.int32))
    ints = {
        "target": rng.integers(0, num_classes, items, dtype=np.int32),
        "prediction": rng.integers(-1, num_classes, items, dtype=np.int32),
        "pixels": rng.integers(1, 50_000, items),
    }
    classes = {"class": np.abs(ints["prediction"]), "pixels": ints["pixels"]}
    keys = [f"{number:09d}" for number in range(first, first + images)]
    masks = [_mask(rng, num_classes) for _ in range(_MASKS)]
    columns = {
        "shard": pa.array([shard] * images),
        "index": pa.array(np.arange(first, first + images)),
        "key": pa.array(keys),
        "status": pa.array(["ok"] * images),
        "flags": pa.array([[]] * images, MASK_SCHEMA.field("flags").type),
        "height": pa.array([_MASK_SIZE[0]] * images),
        "width": pa.array([_MASK_SIZE[1]] * images),
        "mask": pa.array([masks[number % _MASKS] for number in range(images)]),
        "class_pixels": _lists(offsets, classes),
        "confidence": pa.array(rng.random(images, dtype=np.float32)),
        "confusion": _lists(offsets, ints),
        "ignored_pixels": pa.array(rng.integers(0, 9000, images)),
        "image_sha256": pa.array([rng.bytes(32).hex() for _ in range(images)]),
    }
    absent = {
        field.name: pa.nulls(images, field.type)
        for field in MASK_SCHEMA
        if field.name not in columns
    }
    return pa.table({**columns, **absent}).select(MASK_SCHEMA.names).cast(MASK_SCHEMA)


def _mask(rng, num_classes):
    labels = rng.integers(0, num_classes, _MASK_SIZE, dtype=np.uint8)
    return encode_mask(labels, png_palette(voc_colours(num_classes)))


def _lists(offsets, fields):
    struct = pa.StructArray.from_arrays([pa.array(f) for f in fields.values()], names=list(fields))
    return pa.ListArray.from_arrays(offsets, struct)


def _file(rows, part):
    identity = json.dumps({"part": vars(part), "fingerprint": FINGERPRINT}).encode()
    buffer = io.BytesIO()
    table = rows.replace_schema_metadata({METADATA_KEY: identity})
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
