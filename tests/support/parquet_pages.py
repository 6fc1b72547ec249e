"""Where in a Parquet file a page's content lies."""

import io

import pyarrow.parquet as pq

ZSTD_MAGIC = bytes.fromhex("28b52ffd")


def page(data, column):
    """Return where the content of a column's last page, which is compressed, begins and ends."""
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    [chunk] = [c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column]
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    end = first + chunk.total_compressed_size
    return data.rindex(ZSTD_MAGIC, first, end), end
