"""Shards that are files of many images: read in order, counted, and whole as they are stored."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.plan import ShardFile
from pipeline.datasets.shards import count_images, read_shard
from pipeline.errors import ShardBrokenError, StorageError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from tars import PAIRS, make_tar, member_offsets

TAR = make_tar(PAIRS)
CUT = TAR[: member_offsets(TAR)[6][1] + 10]  # inside the fourth sample


def stored(path, data, size_bytes=None):
    """Store a tar; return its data set and the shard that it is."""
    path.write_bytes(data)
    dataset = DatasetSpec(
        name="d", format="webdataset", images=str(path), members={"image": "j", "target": "p"}
    )
    return dataset, ShardFile("s", f"file://{path}", size_bytes or len(data), "e")


def test_a_tars_samples_and_a_tables_rows_come_in_order(tmp_path):
    tar = stored(tmp_path / "a.tar", TAR)
    pq.write_table(pa.table({"image": [b"1", b"2", b"3"]}), tmp_path / "a.parquet")
    table = DatasetSpec(name="d", format="parquet", images=f"{tmp_path}/a.parquet")
    shard = ShardFile("s", f"file://{tmp_path}/a.parquet", 1, "e")

    samples, rows = list(read_shard(*tar, Storage())), list(read_shard(table, shard, Storage()))

    assert [sample.key for sample in samples] == ["000", "001", "002", "003", "004"]
    assert all(sample.image and sample.target for sample in samples)
    assert [row.image for row in rows] == [b"1", b"2", b"3"]


def test_a_shard_that_is_stored_broken_gives_what_is_good(tmp_path):
    samples = []

    with pytest.raises(ShardBrokenError, match="ends inside the member"):
        samples.extend(read_shard(*stored(tmp_path / "a.tar", CUT), Storage()))

    assert len(samples) == 3


def test_a_shard_that_gives_less_than_is_stored_is_the_storages_fault(tmp_path):
    dataset, shard = stored(tmp_path / "a.tar", CUT, size_bytes=len(TAR))

    with pytest.raises(StorageError, match=f"gave {len(CUT)} bytes where {len(TAR)} are stored"):
        list(read_shard(dataset, shard, Storage()))


@pytest.mark.parametrize(("data", "most", "images"), [(TAR, 2, 2), (TAR, 99, 5), (CUT, 99, 3)])
def test_images_are_counted_as_far_as_is_asked_for_or_can_be_read(tmp_path, data, most, images):
    dataset, shard = stored(tmp_path / "a.tar", data)

    assert count_images(dataset, shard, most, Storage()) == images
