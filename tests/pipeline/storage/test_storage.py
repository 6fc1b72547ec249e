"""Storage, local and S3: whole files or none, honest listings, errors that say what to do."""

import os
import pickle
import threading
import time
import tracemalloc

import pytest

from pipeline.errors import StorageError
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def folder(request, tmp_path):
    """A folder in each kind of storage, by URI."""
    if request.param == "local":
        return absolute_uri(str(tmp_path / "folder"))
    request.getfixturevalue("s3")
    return f"s3://results/storage-test/{tmp_path.name}"


def test_what_is_written_is_read_and_listed_at_once(folder):
    storage = Storage()
    assert storage.names(folder) == []
    assert not storage.exists(f"{folder}/a.bin")

    storage.write(f"{folder}/a.bin", b"first")
    storage.write(f"{folder}/a.bin", b"second")
    storage.write(f"{folder}/below/b.bin", b"")

    assert storage.read(f"{folder}/a.bin") == b"second"
    assert storage.names(folder) == ["a.bin"]
    assert [file.uri for file in storage.find(folder)] == [
        f"{folder}/a.bin",
        f"{folder}/below/b.bin",
    ]
    assert storage.stat(f"{folder}/a.bin").size_bytes == 6


def test_of_many_writers_at_once_exactly_one_creates(folder):
    created = []
    start = threading.Barrier(8)

    def create(number):
        storage = Storage()
        start.wait()
        if storage.create(f"{folder}/job.json", b"%d" % number):
            created.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(created) == 1
    assert Storage().read(f"{folder}/job.json") == b"%d" % created[0]
    assert Storage().names(folder) == ["job.json"]


def test_globs_match_in_byte_order_at_one_level_or_all(folder):
    storage = Storage()
    for name in ("b.png", "a.png", "B.png", "é.png", "a b.png", "deep/c.png", "a.txt"):
        storage.write(f"{folder}/{name}", b"x")

    flat = [file.uri.rpartition("/")[2] for file in storage.find(f"{folder}/*.png")]
    nested = [file.uri.rpartition("/")[2] for file in storage.find(f"{folder}/**/*.png")]

    assert flat == ["B.png", "a b.png", "a.png", "b.png", "é.png"]
    assert sorted(nested) == sorted([*flat, "c.png"])


def test_a_stamp_changes_when_an_object_does(folder):
    storage = Storage()
    storage.write(f"{folder}/a.bin", b"one")
    before = storage.stat(f"{folder}/a.bin")
    time.sleep(0.02)

    storage.write(f"{folder}/a.bin", b"two")

    assert storage.stat(f"{folder}/a.bin").stamp != before.stamp
    assert storage.find(folder)[0] == storage.stat(f"{folder}/a.bin")


def test_what_is_not_there_is_an_error_that_names_it(folder):
    storage = Storage()

    with pytest.raises(StorageError, match=r"nothing\.bin: no such"):
        storage.read(f"{folder}/nothing.bin")
    with pytest.raises(StorageError, match="no such"):
        storage.find(f"{folder}/nothing/*.png")


def test_a_storage_travels_to_workers_by_its_options_alone(folder):
    storage = Storage({"s3": {"anon": False}})
    storage.write(f"{folder}/a.bin", b"x")

    copy = pickle.loads(pickle.dumps(storage))  # noqa: S301 - our own bytes

    assert copy.options == {"s3": {"anon": False}}
    assert copy.read(f"{folder}/a.bin") == b"x"


def test_what_is_removed_is_gone_and_may_be_removed_again(folder):
    storage = Storage()
    storage.write(f"{folder}/a.bin", b"x")
    storage.write(f"{folder}/b.bin", b"x")

    storage.remove(f"{folder}/a.bin")
    storage.remove(f"{folder}/a.bin")

    assert storage.names(folder) == ["b.bin"]


@pytest.mark.parametrize("size_bytes", [0, 1, 64 * 1024, 3 * 64 * 1024, 200_001])
def test_read_in_order_an_object_is_whole_whatever_its_size(folder, size_bytes):
    storage = Storage()
    data = os.urandom(size_bytes)
    storage.write(f"{folder}/a.bin", data)

    with storage.open(f"{folder}/a.bin", block_bytes=64 * 1024) as file:
        chunks = list(iter(lambda: file.read(10_000), b""))

    assert b"".join(chunks) == data


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
def test_read_in_order_a_large_object_needs_the_memory_of_a_few_blocks():
    storage = Storage()
    storage.write("s3://results/large.bin", bytes(32 * 2**20))

    with storage.open("s3://results/large.bin", block_bytes=2**20) as file:
        file.read(1)
        tracemalloc.start()
        size_bytes = 1 + sum(len(chunk) for chunk in iter(lambda: file.read(64 * 1024), b""))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert size_bytes == 32 * 2**20
    assert peak_bytes < 8 * 2**20


@pytest.mark.s3
def test_the_endpoint_may_stand_in_the_storage_options(s3, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    storage = Storage({"s3": {"endpoint_url": s3.endpoint_url}})

    storage.write("s3://results/by-option", b"x")

    assert storage.read("s3://results/by-option") == b"x"


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()

    with pytest.raises(StorageError):
        Storage().write(absolute_uri(str(tmp_path / "taken")), b"x")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


OLD, NEW = (f".a.{digit * 32}.tmp" for digit in "12")


def test_only_temporaries_older_than_a_day_are_swept(tmp_path):
    old, new, other = (tmp_path / name for name in (OLD, NEW, "a.parquet"))
    for path in (old, new, other):
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    new.touch()

    Storage().sweep_temporaries(absolute_uri(str(tmp_path)))

    assert sorted(path.name for path in tmp_path.iterdir()) == [NEW, "a.parquet"]


@pytest.mark.s3
def test_a_folder_is_no_object(tmp_path, s3):
    (tmp_path / "folder").mkdir()
    s3.filesystem().pipe_file("shards/a-folder/file", b"x")

    for uri in (f"file://{tmp_path}/folder", "s3://shards/a-folder"):
        with pytest.raises(FileNotFoundError):
            Storage().stat(uri)
        assert not Storage().exists(uri)


def test_names_may_hold_what_fsspec_takes_for_a_chain_of_storages(folder):
    """A local file was once written to another place than its name said."""
    storage = Storage()

    assert storage.create(f"{folder}/a::b/memory::c.json", b"x")

    assert [file.uri for file in storage.find(folder)] == [f"{folder}/a::b/memory::c.json"]
    assert Storage().read(f"{folder}/a::b/memory::c.json") == b"x"


@pytest.mark.parametrize("uri", ["reference://x/y", "simplecache::s3://b/k", "zip://a::file://b"])
def test_storages_that_lead_to_others_are_refused(uri):
    with pytest.raises(StorageError, match="is no protocol of a storage"):
        Storage().read(uri)


def test_only_temporary_files_of_ours_are_swept(tmp_path):
    foreign, ours = tmp_path / ".my-thesis.tmp", tmp_path / f".job.json.{'0a' * 16}.tmp"
    for path in (foreign, ours):
        path.write_text("x")
        os.utime(path, (1, 1))

    Storage().sweep_temporaries(absolute_uri(str(tmp_path)))

    assert [path.name for path in tmp_path.iterdir()] == [foreign.name]
