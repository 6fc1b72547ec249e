"""The listing: what a pattern matches, in every kind of storage; faults raised; bounded pages."""

import os
import sys
import time

import fsspec
import psutil
import pytest

import listing_server
from listing_server import running_listing_server
from pipeline.errors import StorageError
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri

FILES = (
    "B.png",
    "[x] {1}.png",
    "a b.png",
    "a.png",
    "a.txt",
    "a+b&<c>.png",
    "deep/c.png",
    "deep/er/d.png",
    "ü 50%25.png",
)
FLAT_PNG = [name for name in FILES if name.endswith(".png") and "/" not in name]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3), "memory"])
def folder(request, tmp_path):
    """A folder in each kind of storage, by URI."""
    if request.param == "local":
        yield absolute_uri(str(tmp_path / "folder"))
    elif request.param == "s3":
        request.getfixturevalue("s3")
        yield f"s3://results/listing-test/{tmp_path.name}"
    else:
        yield f"memory:///{tmp_path.name}"
        fsspec.filesystem("memory").store.clear()


@pytest.fixture(scope="module")
def stand_in():
    """A store of 50,000 objects."""
    with running_listing_server(50_000) as server:
        yield server


@pytest.fixture
def many(stand_in, monkeypatch):
    """The URI of the 50,000 objects' bucket, its store's address in the environment."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{listing_server.BUCKET}"


def fill(folder, names):
    storage = Storage()
    for name in names:
        storage.write(f"{folder}/{name}", name.encode())
    return storage


def listed(storage, folder, pattern):
    return sorted(file.uri.removeprefix(f"{folder}/") for file in storage.find(pattern))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", FILES),
        ("/", FILES),
        ("/**", FILES),
        ("/*", [name for name in FILES if "/" not in name]),
        ("/*.png", FLAT_PNG),
        ("/**/*.png", [*FLAT_PNG, "deep/c.png", "deep/er/d.png"]),
        ("/?.png", ["B.png", "a.png"]),
        ("/[ab].*", ["a.png", "a.txt"]),
        ("/[!a]*.png", ["B.png", "[x] {1}.png", "ü 50%25.png"]),
        ("/[[]*", ["[x] {1}.png"]),
        ("/*/*.png", ["deep/c.png"]),
        ("/d*/**/d.png", ["deep/er/d.png"]),
        ("/deep/*/*", ["deep/er/d.png"]),
        ("/deep", ["deep/c.png", "deep/er/d.png"]),
        ("/deep/c.png", ["deep/c.png"]),
        ("/ü 50%25.png", ["ü 50%25.png"]),
        ("/*.webp", []),
    ],
)
def test_a_pattern_lists_the_same_files_in_every_storage(folder, pattern, expected):
    storage = fill(folder, FILES)

    assert listed(storage, folder, f"{folder}{pattern}") == sorted(expected)


def test_a_listing_says_of_each_file_what_asking_for_it_says(folder):
    storage = fill(folder, FILES)

    found = storage.find(folder)

    assert found == [storage.stat(file.uri) for file in found]
    assert [storage.read(file.uri).decode() for file in found] == sorted(FILES, key=os.fsencode)
    assert all(file.stamp or folder.startswith("memory") for file in found)


def test_names_are_those_of_the_files_directly_in_a_folder_even_if_its_name_is_like_a_glob(folder):
    storage = fill(f"{folder}/run[1]*", ("b.bin", "a.bin", "below/c.bin"))
    fill(f"{folder}/run1", ("other.bin",))

    assert storage.names(f"{folder}/run[1]*") == ["a.bin", "b.bin"]
    assert storage.names(f"{folder}/run[1]*/") == ["a.bin", "b.bin"]
    assert storage.names(f"{folder}/nothing") == []


@pytest.mark.parametrize("pattern", ["", "/*.png", "/a*.png", "/**/*.png", "/a.png"])
def test_a_folder_that_is_not_there_is_an_error(folder, pattern):
    storage = fill(folder, ("there.png",))

    with pytest.raises(StorageError, match=r"nothing.*no such"):
        list(storage.pages(f"{folder}/nothing{pattern}"))


def test_a_glob_with_two_stars_inside_a_name_is_refused(folder):
    storage = fill(folder, ("a.png",))

    with pytest.raises(StorageError, match=r"'\*\*' can only be an entire path component"):
        storage.find(f"{folder}/a**.png")


def test_hidden_files_are_files_and_temporaries_are_not(tmp_path):
    for name in (".hidden.png", ".folder/a.png", ".a.png.0123.tmp", "a.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    folder = absolute_uri(str(tmp_path))

    assert listed(Storage(), folder, folder) == [".folder/a.png", ".hidden.png", "a.tmp"]
    assert Storage().names(folder) == [".hidden.png", "a.tmp"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    """fsspec's own listing left linked files out without a word."""
    (tmp_path / "originals/more").mkdir(parents=True)
    (tmp_path / "originals/a.png").write_bytes(b"four")
    (tmp_path / "originals/more/back").symlink_to(tmp_path / "originals")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/linked.png").symlink_to(tmp_path / "originals/a.png")
    (tmp_path / "images/broken.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "images/folder").symlink_to(tmp_path / "originals")
    folder = absolute_uri(str(tmp_path / "images"))
    storage = Storage()

    assert listed(storage, folder, folder) == ["broken.png", "folder/a.png", "linked.png"]
    assert storage.find(f"{folder}/l*") == [storage.stat(f"{folder}/linked.png")]
    assert storage.find(f"{folder}/l*")[0].size_bytes == 4
    with pytest.raises(FileNotFoundError):
        storage.stat(f"{folder}/broken.png")


def test_what_is_neither_file_nor_folder_is_not_listed(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert Storage().find(absolute_uri(str(tmp_path))) == []


def test_a_local_entry_that_cannot_be_looked_at_is_an_error(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below/itself").symlink_to("itself")

    with pytest.raises(StorageError, match="Too many levels of symbolic links"):
        Storage().find(absolute_uri(str(tmp_path)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_local_folder_that_may_not_be_read_is_an_error(tmp_path):
    (tmp_path / "below").mkdir(mode=0)

    with pytest.raises(StorageError, match="access denied"):
        Storage().find(absolute_uri(str(tmp_path)))


@pytest.mark.parametrize("name", ["local", pytest.param("s3", marks=pytest.mark.s3)])
def test_pages_hold_a_thousand_files_at_most(request, tmp_path, name):
    names = [f"{number:05d}" for number in range(2_100)]
    if name == "s3":
        store = request.getfixturevalue("s3")
        folder = "s3://results/pages"
        store.filesystem().pipe({f"results/pages/{name}": b"" for name in names})
    else:
        folder = absolute_uri(str(tmp_path))
        for each in names:
            (tmp_path / each).touch()

    pages = list(Storage().pages(f"{folder}/*"))

    assert [len(page) for page in pages] == [1000, 1000, 100]
    assert sorted(file.uri for page in pages for file in page) == [f"{folder}/{n}" for n in names]
    assert Storage().names(folder) == names


@pytest.mark.s3
def test_markers_of_folders_are_not_files_but_make_a_folder_be_there(s3):
    for key in ("marked/", "marked/below/"):
        s3.filesystem().call_s3("put_object", Bucket="results", Key=key, Body=b"")
    storage = Storage()

    assert storage.find("s3://results/marked") == []
    assert storage.find("s3://results/marked/*.png") == []
    assert storage.names("s3://results/marked") == []


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
def test_a_bucket_must_be_named_in_full():
    with pytest.raises(StorageError, match=r"s3://res\*/a.png: .*the name of a bucket"):
        Storage().find("s3://res*/a.png")
    with pytest.raises(StorageError, match="no such bucket"):
        list(Storage().pages("s3://no-such-bucket"))


def test_a_listing_that_is_forbidden_is_an_error(many):
    assert many
    with pytest.raises(StorageError, match=r"forbidden/pictures: access denied"):
        Storage().find(f"s3://{listing_server.FORBIDDEN_BUCKET}/pictures")
    with pytest.raises(StorageError, match=r"forbidden/names: access denied"):
        Storage().names(f"s3://{listing_server.FORBIDDEN_BUCKET}/names")


def test_a_listing_that_breaks_off_is_an_error_and_no_shorter_listing(many):
    assert many
    pages = Storage().pages(f"s3://{listing_server.BROKEN_BUCKET}/pictures")

    first = next(pages)

    assert len(first) == 1000
    with pytest.raises(StorageError, match="access denied"):
        next(pages)


def test_fifty_thousand_objects_are_listed_as_they_are(many):
    storage = Storage()

    found = storage.find(f"{many}/{listing_server.FOLDER}/*.jpg")

    assert len(found) == len(set(found)) == 50_000
    for number in (0, 999, 1000, 49_999):
        uri = f"{many}/{listing_server.object_key(number)}"
        assert found[number] == storage.stat(uri)
        assert found[number].size_bytes == len(storage.read(uri))
    assert len(storage.find(f"{many}/{listing_server.FOLDER}/00000[12]*7.jpg")) == 200
    assert storage.find(f"{many}/*") == []
    assert not storage.exists(f"{many}/{listing_server.FOLDER}/other.jpg")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_million_objects_are_listed_within_a_minute_in_the_memory_of_a_few_pages(monkeypatch):
    process = psutil.Process()
    with running_listing_server(1_000_000) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        storage = Storage()
        storage.stat(f"s3://{listing_server.BUCKET}/{listing_server.object_key(0)}")
        before_bytes = peak_bytes = process.memory_info().rss
        started = time.monotonic()
        num_listed = 0

        for page in storage.pages(f"s3://{listing_server.BUCKET}/{listing_server.FOLDER}"):
            num_listed += len(page)
            peak_bytes = max(peak_bytes, process.memory_info().rss)

        seconds, growth_bytes = time.monotonic() - started, peak_bytes - before_bytes
    sys.stdout.write(f"\n{num_listed} in {seconds:.1f} s, {growth_bytes / 1e6:.0f} MB more\n")
    assert num_listed == 1_000_000
    assert seconds <= 60
    assert growth_bytes <= 200e6
