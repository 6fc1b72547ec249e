"""The Parquet file of one part: written whole, and read back a few rows at a time."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import DecodeError, OutputError
from pipeline.output.mask_png import read_mask
from pipeline.output.mask_table import MASK_SCHEMA, MaskRow
from pipeline.output.part_name import Part
from pipeline.spec.fingerprint import TABLE_VERSION, Fingerprint
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

METADATA_KEY: Final = b"refinenet_batch"

Labels = npt.NDArray[np.uint8]

_BATCH_ROWS: Final = 16
_COLUMNS: Final = (
    *("shard", "index", "key", "uri", "target_uri", "status"),
    *("height", "width", "mask", "image_sha256"),
)
_FOUND_COLUMNS: Final = (*_COLUMNS, "error", "flags", "confusion")


@dataclass(frozen=True)
class PartFile:
    """A part file and access to it.

    Attributes:
        uri: Where it is.
        storage: Access to it.
        fingerprint: Of the job whose part it must be; None does not ask.
    """

    uri: str
    storage: Storage
    fingerprint: Fingerprint | None = None

    def rows(self) -> Iterator[MaskRow]:
        """Yield its rows, with what a mask needs; the other fields are None.

        Raises:
            OutputError: It is damaged.
            StorageError: It cannot be read.
        """
        with self.opened() as content:
            for batch in content.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS)):
                for row in batch.to_pylist():
                    yield MaskRow(**row)

    def find(self, indices: Sequence[int], *, masks: bool) -> list[MaskRow]:
        """Return some of its rows, with what a person might ask of them.

        Args:
            indices: Of the images in their shard.
            masks: Whether the masks are read as well.

        Raises:
            OutputError: It is damaged.
            StorageError: It cannot be read.
        """
        columns = [name for name in _FOUND_COLUMNS if masks or name != "mask"]
        with self.opened() as content:
            table = content.read(columns=columns)
            found = table.filter(pc.is_in(table["index"], value_set=pa.array(indices, pa.int64())))
        return [MaskRow(**row) for row in found.to_pylist()]

    def labels(self, row: MaskRow) -> Labels:
        """Return the label map of a row that has a mask, shape (H, W).

        Raises:
            OutputError: Its mask is damaged.
        """
        try:
            return read_mask(row.mask or b"", row.height, row.width)
        except DecodeError as error:
            raise self._damaged(f"the mask in row {row.index}: {error.reason}") from error

    @contextlib.contextmanager
    def opened(self) -> Iterator[pq.ParquetFile]:
        """Open it, checking what is read.

        Raises:
            OutputError: It is damaged, or of another job.
            StorageError: It cannot be read.
        """
        damage: Exception | None = None
        with self.storage.open(self.uri) as file:
            try:
                content = pq.ParquetFile(file, page_checksum_verification=True)
                if self.fingerprint not in (None, fingerprint_of(content)):
                    raise OutputError(
                        shown(self.uri),
                        "is a part of another job; run the job of this output again, which deletes "
                        "it and makes the part",
                    )
                yield content
            except (pa.ArrowException, OSError) as error:  # the storage's own are StorageErrors
                damage = error
        if damage is not None:
            raise self._damaged(str(damage).splitlines()[0]) from damage

    def _damaged(self, reason: str) -> OutputError:
        return OutputError(
            shown(self.uri),
            f"is damaged: {reason}; `refinenet-batch verify` says how to mend the output",
        )


def part_file(rows: Sequence[MaskRow], part: Part, fingerprint: Mapping[str, Any]) -> bytes:
    """Return the Parquet file of a part; the same rows give the same bytes.

    The file's metadata under `refinenet_batch` says, in JSON, which part of which job it is.
    """
    identity = {"table_version": TABLE_VERSION, "part": asdict(part), "fingerprint": fingerprint}
    schema = MASK_SCHEMA.with_metadata(
        {METADATA_KEY: json.dumps(identity, sort_keys=True).encode()}
    )
    table = pa.Table.from_pylist([vars(row) for row in rows], schema=schema)
    buffer = io.BytesIO()
    # Masks are compressed already: a dictionary would hold them twice, and so would ranges.
    columns = [name for name in schema.names if name not in ("mask", "probabilities")]
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        use_dictionary=columns,
        write_statistics=columns,
        write_page_checksum=True,
    )
    return buffer.getvalue()


def fingerprint_of(file: pq.ParquetFile) -> Mapping[str, Any] | None:
    """Return the fingerprint that a part's file carries; None if it carries none."""
    metadata = file.schema_arrow.metadata or {}
    if METADATA_KEY not in metadata:
        return None
    fingerprint: Mapping[str, Any] = json.loads(metadata[METADATA_KEY])["fingerprint"]
    return fingerprint
