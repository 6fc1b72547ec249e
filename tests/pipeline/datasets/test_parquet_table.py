"""Parquet tables of images: shards of whole row groups, cells of every usual shape."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.parquet_table import holds_uris, list_shards, read_rows
from pipeline.datasets.plan import ShardFile
from pipeline.errors import PlanError, ShardBrokenError
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec
from pipeline.storage.storage import Storage

BYTES = [bytes([n]) * (n + 1) for n in range(10)]


def write(path, columns, *, row_group_size=3):
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def dataset(images, **columns):
    return DatasetSpec(name="d", format="parquet", images=str(images), columns=columns)


def read(path, columns, shard=None):
    shard = shard or ShardFile("s", f"file://{path}", 0, "")
    return list(read_rows(io.BytesIO(path.read_bytes()), shard, columns, Storage().read))


@pytest.mark.parametrize(
    ("shard_images", "expected"),
    [(1, [1, 1, 1, 1]), (3, [1, 1, 1, 1]), (6, [2, 2]), (7, [2, 2]), (100, [4])],
)
def test_shards_are_whole_row_groups(tmp_path, shard_images, expected):
    path = write(tmp_path / "t.parquet", {"image": BYTES})

    shards = list_shards(dataset(path), Storage(), shard_images=shard_images)

    assert [shard.row_groups for shard in shards] == expected
    assert [shard.shard for shard in shards] == [
        f"file://{path}#{number:06d}" for number in range(len(expected))
    ]
    rows = [read(path, ColumnsSpec(), shard) for shard in shards]
    assert [len(found) for found in rows] == [shard.images for shard in shards]
    assert [row.index for found in rows for row in found] == list(range(10))
    assert [row.image for found in rows for row in found] == BYTES


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_images_may_be_bytes_of_any_arrow_kind(tmp_path, kind):
    path = write(tmp_path / "t.parquet", {"image": pa.array(BYTES, kind)})

    assert not holds_uris(dataset(path), Storage())
    assert [row.image for row in read(path, ColumnsSpec())] == BYTES


def test_structs_of_bytes_and_path_give_bytes_and_key(tmp_path):
    images = [{"bytes": data, "path": f"deep/{n}.png"} for n, data in enumerate(BYTES)]
    targets = [{"bytes": data[::-1], "path": None} for data in BYTES]
    path = write(tmp_path / "t.parquet", {"image": images, "label": targets})

    rows = read(path, ColumnsSpec(target="label"))

    assert not holds_uris(dataset(path), Storage())
    assert [row.image for row in rows] == BYTES
    assert [row.target for row in rows] == [data[::-1] for data in BYTES]
    assert rows[3].key == "deep/3"
    assert (rows[3].uri, rows[3].target_uri) == (f"file://{path}#3", f"file://{path}#3")


def test_a_struct_with_a_path_alone_is_read_from_there(tmp_path):
    (tmp_path / "there.png").write_bytes(b"there")
    images = [{"bytes": None, "path": name} for name in ("there.png", "nowhere.png", None)]
    path = write(tmp_path / "t.parquet", {"image": pa.array(images)})

    rows = read(path, ColumnsSpec())

    assert [(row.status, row.image) for row in rows] == [
        ("ok", b"there"),
        ("unreadable", None),
        ("unreadable", None),
    ]
    assert "nowhere.png" in rows[1].error
    assert "no image in column 'image'" in rows[2].error


def test_a_key_may_have_a_column_and_is_else_the_rows_number(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": BYTES, "id": list(range(100, 110))})

    assert [row.key for row in read(path, ColumnsSpec(key="id"))][:2] == ["100", "101"]
    assert [row.key for row in read(path, ColumnsSpec())][:2] == ["0", "1"]


def test_a_column_of_text_makes_the_table_a_manifest(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": ["a.png", "b.png"]})

    assert holds_uris(dataset(path), Storage())


@pytest.mark.parametrize(
    ("columns", "asked", "message"),
    [
        ({"picture": BYTES}, {}, r"has no column 'image'; it has: picture"),
        ({"image": BYTES}, {"target": "mask"}, r"has no column 'mask'; it has: image"),
        ({"image": [1, 2]}, {}, r"column 'image' is int64; images are encoded bytes"),
    ],
)
def test_columns_that_hold_no_images_are_refused(tmp_path, columns, asked, message):
    path = write(tmp_path / "t.parquet", columns)

    with pytest.raises(PlanError, match=message):
        holds_uris(dataset(path, **asked), Storage())


def test_a_damaged_page_breaks_the_shard_off_behind_the_good_rows(tmp_path):
    big = [bytes([n]) * 50_000 for n in range(6)]
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"image": big}), path, row_group_size=2, compression="zstd", use_dictionary=False
    )
    metadata = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = metadata.data_page_offset
    data[start : start + metadata.total_compressed_size] = bytes(metadata.total_compressed_size)
    path.write_bytes(data)

    rows = []
    with pytest.raises(ShardBrokenError, match="is damaged from row 2 on"):
        rows.extend(
            read_rows(
                io.BytesIO(data), ShardFile("s", f"file://{path}", 0, ""), ColumnsSpec(), bytes
            )
        )

    assert [row.image for row in rows] == big[:2]


def test_a_table_without_a_footer_is_one_shard_that_breaks_off(tmp_path):
    write(tmp_path / "good.parquet", {"image": BYTES})
    (tmp_path / "bad.parquet").write_bytes((tmp_path / "good.parquet").read_bytes()[:-20])

    shards = list_shards(dataset(tmp_path / "*.parquet"), Storage(), shard_images=100)

    assert [shard.images for shard in shards] == [None, 10]
    with pytest.raises(ShardBrokenError, match="is damaged from row 0 on"):
        read(tmp_path / "bad.parquet", ColumnsSpec(), shards[0])


def test_targets_beside_a_table_are_found_by_the_rows_keys(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": BYTES[:3], "key": ["deep/a.b", "c", "gone"]})
    for name in ("a.b", "c"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    shard = ShardFile("s", f"file://{path}", 0, "")
    columns = ColumnsSpec(key="key")
    targets = f"file://{tmp_path}/{{stem}}.png"

    rows = list(
        read_rows(io.BytesIO(path.read_bytes()), shard, columns, Storage().read, targets=targets)
    )

    assert [row.target for row in rows] == [b"a.b", b"c", None]
    assert [row.target_uri for row in rows[:2]] == [
        f"file://{tmp_path}/a.b.png",
        f"file://{tmp_path}/c.png",
    ]
    assert [row.status for row in rows] == ["ok", "ok", "missing_target"]
    assert "gone.png" in rows[2].error
    assert [row.image for row in rows] == BYTES[:3]


def test_targets_beside_a_table_of_uris_are_refused(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": ["a.png"]})
    spec = DatasetSpec(name="d", format="parquet", images=str(path), targets="/x/{stem}.png")

    with pytest.raises(PlanError, match="in place of `targets`"):
        holds_uris(spec, Storage())
