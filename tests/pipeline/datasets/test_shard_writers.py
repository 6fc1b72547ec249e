"""Shards as they are written: safe names, keys in full, and row groups of bounded size."""

import io
import tarfile

import pyarrow.parquet as pq
import pytest

from pipeline.datasets.shard_writers import TABLE_SCHEMA, PackedImage, write_table, write_tar
from pipeline.datasets.webdataset import read_samples
from pipeline.spec.dataset_spec import MembersSpec


def packed(key, image=b"i", target=None):
    target_uri = None if target is None else "t/x.png"
    return PackedImage(key, "i/x.jpg", image, target_uri, target)


def tar_of(*images):
    file = io.BytesIO()
    write_tar(file, images)
    return file.getvalue()


def table_of(*images):
    file = io.BytesIO()
    write_table(file, images)
    return pq.ParquetFile(file)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["deep/a"], ["deep/a.jpg"]),
        (["../../etc/x", "/abs", ".."], ["etc/x.jpg", "abs.jpg", "image.jpg"]),
        (["a.b", "a_b"], ["a_b.jpg", "a_b-2.jpg"]),
        (["k", "k", "k"], ["k.jpg", "k-2.jpg", "k-3.jpg"]),
        (["ü" * 300], ["ü" * 100 + ".jpg"]),  # of 200 bytes
    ],
)
def test_names_in_a_tar_are_safe_to_unpack_and_keys_stay_as_they_are(keys, names):
    data = tar_of(*map(packed, keys))

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == names
    samples = read_samples(io.BytesIO(data), "u.tar", MembersSpec())
    assert [sample.key for sample in samples] == keys


def test_a_target_stands_beside_its_image():
    data = tar_of(packed("a", b"1", b"2"), packed("b", b"3"))
    table = table_of(packed("a", b"1", b"2"), packed("b", b"3"))

    samples = list(read_samples(io.BytesIO(data), "u.tar", MembersSpec(target="seg.png")))

    assert [(sample.image, sample.target) for sample in samples] == [(b"1", b"2"), (b"3", None)]
    assert table.schema_arrow.equals(TABLE_SCHEMA, check_metadata=True)
    assert table.read().to_pylist() == [
        {
            "key": "a",
            "image": {"bytes": b"1", "path": "x.jpg"},
            "target": {"bytes": b"2", "path": "x.png"},
        },
        {"key": "b", "image": {"bytes": b"3", "path": "x.jpg"}, "target": None},
    ]


@pytest.mark.parametrize(
    ("images", "image_bytes", "groups"),
    [(300, 1, [256, 44]), (3, 20 << 20, [1, 1, 1]), (0, 1, [0])],
)
def test_row_groups_are_bounded_by_images_and_bytes(images, image_bytes, groups):
    file = table_of(*(packed(str(number), bytes(image_bytes)) for number in range(images)))

    found = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert found == groups
