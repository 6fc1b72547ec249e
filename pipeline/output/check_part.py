"""The check of one part file: what it says it is, and what its rows say of their masks."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import DecodeError
from pipeline.output.mask_png import read_mask
from pipeline.output.mask_table import MASK_SCHEMA, MaskRow, class_pixels
from pipeline.output.part_file import METADATA_KEY
from pipeline.output.part_name import Part
from pipeline.spec.fingerprint import Fingerprint, differences
from pipeline.storage.uris import shown

PLANNED_COLUMNS: Final = ("shard", "index", "key", "uri", "target_uri")

_MAGIC: Final = b"PAR1"
_OUTSIDE: Final = 255  # in a mask: a pixel that the protocol does not look at
_BATCH_ROWS: Final = 16  # whose masks are held as Python's bytes at a time
_SHOWN: Final = 3  # problems of one file; the others are counted


@dataclass(frozen=True)
class PartRules:
    """What a job's parts must agree with.

    Attributes:
        fingerprint: That of `job.json`.
        num_classes: Number of classes, C.
        has_targets: Whether the dataset's images are scored.
        protocol: What of an image has labels, a name of `refinenet_core.prediction.protocols`.
    """

    fingerprint: Fingerprint
    num_classes: int
    has_targets: bool
    protocol: str

    @property
    def may_miss(self) -> bool:
        """Whether masks may have pixels of no class: those that were not predicted by the job."""
        return "scoring" in self.fingerprint


@dataclass(frozen=True)
class CheckedPart:
    """What a part file was found to be.

    Attributes:
        file_name: Its name.
        rows: Its rows; 0 if it has a problem.
        images: Its rows that are images; the last row of a cut part stands for what is lost.
        first: Index of the first row.
        problem: What is wrong; None if nothing is.
    """

    file_name: str
    rows: int = 0
    images: int = 0
    first: int = 0
    problem: str | None = None

    @property
    def last(self) -> int:
        """Index of the last row."""
        return self.first + self.rows - 1


def check_part(
    data: bytes, file_name: str, rules: PartRules, planned: pa.Table | None
) -> CheckedPart:
    """Check a part file.

    Args:
        data: Its content.
        file_name: Its name.
        rules: What it must agree with.
        planned: Its rows in the plan, with `PLANNED_COLUMNS`; None if the plan lists no images.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read()
        table.validate(full=True)
        part, fingerprint = _identity(file)
        problems = (
            _identity_problems(part, fingerprint, file_name, rules)
            or _layout_problems(file, data)
            or _footer_problems(file, table)
        )
    # Arrow raises some of Python's own errors; all are about these bytes, which are in memory.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return CheckedPart(file_name, problem=f"is damaged: {reason}")
    # What is found first explains the rest.
    problems = (
        problems
        or _table_problems(table, part, planned)
        or [f"row {row.index} {what}" for row in _rows(table) for what in _row_problems(row, rules)]
    )
    if problems:
        return CheckedPart(file_name, problem=_summed_up(problems))
    rows = table.num_rows
    first = table["index"][0].as_py() if rows else 0
    return CheckedPart(file_name, rows, rows - (part.ending == "cut"), first)


def _layout_problems(file: pq.ParquetFile, data: bytes) -> list[str]:
    """Compare what the footer says of the file's layout with the file."""
    if not data.startswith(_MAGIC):
        return ["does not begin as a Parquet file"]
    if file.num_row_groups != 1:
        return [f"has {file.num_row_groups} row groups, where parts have one"]
    group, place = file.metadata.row_group(0), len(_MAGIC)
    for column in map(group.column, range(group.num_columns)):
        first = column.dictionary_page_offset or column.data_page_offset
        if (
            first != place
            or not place <= column.data_page_offset < place + column.total_compressed_size
        ):
            return [f"misstates the place of {column.path_in_schema} in its footer"]
        place += column.total_compressed_size
    return []


def _footer_problems(file: pq.ParquetFile, table: pa.Table) -> list[str]:
    """Compare the footer with the pages: readers skip rows by it, and it has no checksum."""
    if not (table.schema == _arrow_schema(file) == MASK_SCHEMA):
        return ["has other columns than a mask table"]
    group = file.metadata.row_group(0)
    leaves = dict(_leaves(table))
    problems = []
    for place in range(group.num_columns):
        column, declared = group.column(place), file.schema.column(place)
        name = declared.path
        # Of another type than the schema's, Arrow would end the process at its statistics.
        if (column.path_in_schema, column.physical_type) != (name, declared.physical_type):
            problems.append(f"misstates name or type of {name} in its footer")
            continue
        stated, leaf = column.statistics, leaves[name]
        if stated is None:
            continue
        if stated.num_values != len(leaf) - leaf.null_count:
            problems.append(f"miscounts {name} in its footer")
        extremes = pc.min_max(leaf).as_py()
        if stated.has_min_max and extremes != {"min": stated.min, "max": stated.max}:
            problems.append(f"misstates the range of {name} in its footer")
    return problems


def _arrow_schema(file: pq.ParquetFile) -> pa.Schema:
    """Return the schema that stands in a footer beside Parquet's own, for Arrow."""
    return pa.ipc.read_schema(pa.py_buffer(b64decode(file.metadata.metadata[b"ARROW:schema"])))


def _leaves(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield each column that Parquet stores, with its path there."""
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if not pa.types.is_list(column.type):
            yield name, column
            continue
        items = pc.list_flatten(column)
        if not pa.types.is_struct(items.type):
            yield f"{name}.list.element", items
            continue
        for field in items.type:
            yield f"{name}.list.element.{field.name}", pc.struct_field(items, field.name)


def _identity(file: pq.ParquetFile) -> tuple[Part, Fingerprint]:
    """Return which part of which job a file says it is.

    Raises:
        ValueError, KeyError, TypeError: It does not say.
    """
    stated = file.metadata.metadata[METADATA_KEY]
    if _arrow_schema(file).metadata != {METADATA_KEY: stated}:
        raise ValueError("the footer holds the metadata twice, and they differ")
    identity = json.loads(stated)
    fields = {name: identity["part"][name] for name in Part.__dataclass_fields__}
    return Part(**fields), dict(identity["fingerprint"])


def _identity_problems(
    part: Part, fingerprint: Fingerprint, file_name: str, rules: PartRules
) -> list[str]:
    differing = differences(fingerprint, rules.fingerprint)
    if differing:
        return ["is a part of another run; it differs in " + _summed_up(differing)]
    if part.file_name != file_name:
        return [f"holds another part, whose name is {part.file_name}"]
    return []


def _table_problems(table: pa.Table, part: Part, planned: pa.Table | None) -> list[str]:
    if table.num_rows != part.images:
        return [f"has {table.num_rows} rows, and says that it has {part.images}"]
    if pc.any(pc.not_equal(table["shard"], part.shard)).as_py():
        return [f"has rows of another shard than its own, {shown(part.shard)}"]
    index = table["index"].to_numpy()
    if (np.diff(index) != 1).any():
        return ["has rows that do not follow one another by `index`: one is there twice or lacking"]
    if planned is not None:
        return [
            f"has another {name!r} than is planned"
            for name in PLANNED_COLUMNS
            if not table[name].equals(planned[name])
        ]
    return []


def _rows(table: pa.Table) -> Iterator[MaskRow]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield MaskRow(**row)


def _row_problems(row: MaskRow, rules: PartRules) -> Iterator[str]:
    if row.mask is None:
        if row.status == "ok":
            yield "is ok but has no mask"
        counts = (row.class_pixels, row.confidence, row.confusion, row.ignored_pixels)
        if any(count is not None for count in counts):
            yield "has counts but no mask"
        return
    try:
        labels = read_mask(row.mask, row.height, row.width)
    except DecodeError as error:
        yield f"has a mask that cannot be read: {error.reason}"
        return
    region = _region(rules.protocol, *labels.shape)
    seen = labels[region]
    found = class_pixels(seen)
    # Masks that were not predicted here may be of no class in places: misses in their scores.
    outside = found.pop()["pixels"] if rules.may_miss and found[-1]["class"] == _OUTSIDE else 0
    if found and found[-1]["class"] >= rules.num_classes:
        yield f"has class {found[-1]['class']} in its mask, of {rules.num_classes} classes"
    if np.count_nonzero(labels == _OUTSIDE) < labels.size - seen.size:
        yield f"has labels in its mask where the protocol {rules.protocol} does not look"
    if (seen.size < labels.size) != ("cropped" in row.flags):
        yield "is flagged `cropped` where it is not, or not flagged where it is"
    if row.class_pixels != found:
        yield "has `class_pixels` that its mask does not have"
    pixels = {-1: outside, **{cell["class"]: cell["pixels"] for cell in found}}
    yield from _score_problems(row, labels.size, pixels, rules)


def _region(protocol: str, height: int, width: int) -> tuple[slice, slice]:
    """Return where in a mask labels lie."""
    if protocol != "fixed":
        return slice(None), slice(None)
    from refinenet_core.prediction.protocols import plan_views  # noqa: PLC0415 - imports PyTorch

    return plan_views("fixed", height, width, (1.0,)).region.slices


def _score_problems(
    row: MaskRow, mask_pixels: int, found: Mapping[int, int], rules: PartRules
) -> Iterator[str]:
    scored = rules.has_targets and row.status == "ok"
    if {row.confusion is not None, row.ignored_pixels is not None} != {scored}:
        yield f"has status {row.status!r} and is {'not ' * scored}scored"
    if row.confusion is None or row.ignored_pixels is None:
        return
    cells = [(cell["target"], cell["prediction"], cell["pixels"]) for cell in row.confusion]
    predicted: Counter[int] = Counter()
    for target, prediction, pixels in cells:
        predicted[prediction] += pixels
        if not (0 <= target < rules.num_classes and pixels > 0):
            yield f"has {pixels} pixels of class {target} in `confusion`"
    if any(pixels > found.get(prediction, 0) for prediction, pixels in predicted.items()):
        yield "has more pixels of a class in `confusion` than in its mask"
    if len({cell[:2] for cell in cells}) < len(cells):
        yield "has a cell of `confusion` twice"
    counted = predicted.total() + row.ignored_pixels
    if counted != mask_pixels:
        yield f"has {counted} pixels in `confusion` and `ignored_pixels`, {mask_pixels} in its mask"


def _summed_up(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
