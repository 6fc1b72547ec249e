"""Packing: what goes into shards comes out of them, whatever its name."""

import io
import tarfile

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from pipeline.datasets.pack import pack
from pipeline.datasets.parquet_table import read_rows
from pipeline.datasets.plan import ShardFile
from pipeline.datasets.webdataset import read_samples
from pipeline.errors import OutputError, PlanError
from pipeline.spec.dataset_spec import ColumnsSpec, DatasetSpec, MembersSpec
from pipeline.storage.storage import Storage

NAMES = ["a.png", "deep/a.png", "b.c.d.png", "b_c_d.png", "ünï 图 <script>.png", "noextension"]
KEYS = sorted(name.removesuffix(".png") for name in NAMES)


@pytest.fixture
def files(tmp_path):
    for number, name in enumerate(NAMES):
        for folder in ("i", "t"):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4 + number, 9), 20 * number + len(folder)).save(path, "PNG")
    return tmp_path


def dataset(files, **fields):
    return DatasetSpec(name="pack", images=f"{files}/i", **fields)


def unpacked(folder, kind):
    """Return key, image and target of every sample in a folder's shards."""
    found = []
    for path in sorted(folder.glob(f"*.{kind}")):
        stream = io.BytesIO(path.read_bytes())
        if kind == "tar":
            samples = read_samples(stream, path.name, MembersSpec(target="seg.png"))
        else:
            columns = ColumnsSpec(target="target", key="key")
            samples = read_rows(stream, ShardFile("s", str(path), 0, ""), columns, bytes)
        found += [(sample.key, sample.image, sample.target) for sample in samples]
    return found


@pytest.mark.parametrize(("pack_format", "kind"), [("webdataset", "tar"), ("parquet", "parquet")])
@pytest.mark.parametrize(("shard_bytes", "shards"), [(1 << 20, {1}), (300, {2, 3, 4}), (1, {6})])
def test_every_image_comes_out_under_its_key_with_its_target(
    files, pack_format, kind, shard_bytes, shards
):
    given = dataset(files, targets=f"{files}/t/{{relpath}}.png", targets_missing="row")

    report = pack(
        given, f"file://{files}/o", Storage(), pack_format=pack_format, shard_bytes=shard_bytes
    )

    assert report.failures == []
    assert len(report.shards) == len(list((files / "o").glob(f"*.{kind}")))
    assert len(report.shards) in shards
    found = unpacked(files / "o", kind)
    assert sorted(key for key, _, _ in found) == KEYS
    for key, image, target in found:
        name = key if key == "noextension" else f"{key}.png"
        assert image == (files / "i" / name).read_bytes()
        assert target == (None if key == "noextension" else (files / "t" / name).read_bytes())


def test_the_spec_that_is_reported_reads_the_shards(files):
    tars = pack(dataset(files), f"file://{files}/o", Storage(), shard_bytes=1)
    table = pack(dataset(files), f"file://{files}/p", Storage(), pack_format="parquet")

    assert tars.dataset["images"] == f"{files}/o/shard-{{000000..000005}}.tar"
    for fields in (tars.dataset, table.dataset):
        assert DatasetSpec(name="d", **fields).has_targets is False


def test_the_library_webdataset_reads_the_tars(files):
    given = dataset(files, targets=f"{files}/t/{{relpath}}.png", targets_missing="row")
    pack(given, f"file://{files}/o", Storage())

    [tar] = (files / "o").glob("*.tar")
    samples = list(webdataset.WebDataset(f"file:{tar}", shardshuffle=False, empty_check=False))

    images = [sample.get("png") or sample["bin"] for sample in samples]
    assert sorted(images) == sorted((files / "i" / name).read_bytes() for name in NAMES)
    assert sum("seg.png" in sample for sample in samples) == 5


def test_the_library_datasets_reads_the_tables_as_images(files):
    given = dataset(files, targets=f"{files}/t/{{relpath}}.png", targets_missing="row")
    pack(given, f"file://{files}/o", Storage(), pack_format="parquet")

    [path] = (files / "o").glob("*.parquet")
    table = datasets.Dataset.from_parquet(str(path), cache_dir=str(files / "cache"))

    by_key = {row["key"]: row for row in table}
    assert by_key["b.c.d"]["image"].getpixel((0, 0)) == 20 * 2 + 1
    assert by_key["b.c.d"]["target"].getpixel((0, 0)) == 20 * 2 + 1
    assert by_key["noextension"]["target"] is None


def test_member_names_are_safe_to_unpack(files):
    (files / "list.csv").write_text(
        "image,key\ni/a.png,../../etc/x\ni/deep/a.png,/abs\ni/noextension,..\n"
    )
    given = DatasetSpec(
        name="d", format="manifest", images=f"{files}/list.csv", columns={"key": "key"}
    )

    pack(given, f"file://{files}/o", Storage())

    [tar] = (files / "o").glob("*.tar")
    with tarfile.open(tar) as archive:
        names = archive.getnames()
    assert names == ["etc/x.png", "abs.png", "image.bin"]
    assert [key for key, _, _ in unpacked(files / "o", "tar")] == ["../../etc/x", "/abs", ".."]


def test_keys_that_repeat_stay_apart(files):
    (files / "list.csv").write_text("image,key\ni/a.png,k\ni/deep/a.png,k\n")
    given = DatasetSpec(
        name="d", format="manifest", images=f"{files}/list.csv", columns={"key": "key"}
    )

    pack(given, f"file://{files}/o", Storage())

    assert [key for key, _, _ in unpacked(files / "o", "tar")] == ["k", "k"]


def test_a_second_packing_writes_what_is_missing_and_the_same_bytes(files):
    first = pack(dataset(files), f"file://{files}/o", Storage(), shard_bytes=300)
    paths = sorted((files / "o").glob("*.tar"))
    before = {path: path.read_bytes() for path in paths}
    paths[1].unlink()

    second = pack(dataset(files), f"file://{files}/o", Storage(), shard_bytes=300)

    assert {shard.written for shard in first.shards} == {True}
    assert [shard.written for shard in second.shards] == [path == paths[1] for path in paths]
    assert {path: path.read_bytes() for path in paths} == before


def test_a_folder_with_shards_of_something_else_is_refused(files):
    pack(dataset(files), f"file://{files}/o", Storage())

    with pytest.raises(OutputError, match="holds shards of other images, or of other settings"):
        pack(dataset(files), f"file://{files}/o", Storage(), shard_bytes=300)
    (files / "i/one-more.png").write_bytes(b"x")
    with pytest.raises(OutputError, match="holds shards of other images"):
        pack(dataset(files), f"file://{files}/o", Storage())


def test_images_that_are_not_there_are_named_and_the_others_packed(files):
    (files / "list.csv").write_text("image\ni/a.png\ni/nowhere.png\n")
    given = DatasetSpec(name="d", format="manifest", images=f"{files}/list.csv")

    report = pack(given, f"file://{files}/o", Storage())

    assert len(report.failures) == 1
    assert "i/nowhere.png: no such file" in report.failures[0]
    assert len(unpacked(files / "o", "tar")) == 1


def test_targets_of_several_kinds_are_refused(files):
    (files / "list.csv").write_text("image,t\ni/a.png,t/a.png\ni/deep/a.png,t/noextension\n")
    given = DatasetSpec(
        name="d", format="manifest", images=f"{files}/list.csv", columns={"target": "t"}
    )

    with pytest.raises(PlanError, match=r"targets are of several kinds \(, png\)"):
        pack(given, f"file://{files}/o", Storage())


@pytest.mark.s3
@pytest.mark.parametrize("pack_format", ["webdataset", "parquet"])
def test_shards_go_to_an_object_store_whole(files, s3, pack_format):
    out = f"s3://shards/packed-{pack_format}"

    report = pack(dataset(files), out, Storage(), pack_format=pack_format)
    again = pack(dataset(files), out, Storage(), pack_format=pack_format)

    name = f"packed-{pack_format}/{report.shards[0].name}"
    stored = s3.filesystem().cat_file(f"shards/{name}")
    assert [shard.written for shard in (*report.shards, *again.shards)] == [True, False]
    if pack_format == "parquet":
        assert pq.ParquetFile(io.BytesIO(stored)).metadata.num_rows == 6
    else:
        with tarfile.open(fileobj=io.BytesIO(stored)) as archive:
            assert len(archive.getnames()) == 6
