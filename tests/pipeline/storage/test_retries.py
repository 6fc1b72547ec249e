"""Storage faults: those that pass are tried again and counted, the others are told at once."""

import errno
import time

import pytest

from chaos.faulty_proxy import FaultyProxy
from pipeline.errors import StorageError, StorageFullError
from pipeline.storage.retries import RETRIES, passes
from pipeline.storage.storage import Storage

FOLDER = "s3://results/retrying"


def through(proxy):
    """Return a storage behind a proxy with faults, which has answered before."""
    return Storage({"s3": {"endpoint_url": proxy.endpoint_url}}, answered=["s3"])


@pytest.mark.s3
def test_every_operation_survives_faults_and_they_are_counted(s3):
    data = bytes(range(256)) * 4096
    retries_before = RETRIES.made
    with FaultyProxy(s3.endpoint_url, seed=7, rate=0.25) as proxy:
        storage = through(proxy)
        for number in range(12):
            uri = f"{FOLDER}/{number:02d}"
            storage.write(uri, data)
            storage.create(f"{uri}.new", data)
            assert not storage.create(uri, b"other")
            assert storage.read(uri) == data
            assert storage.stat(uri).size_bytes == len(data)
            with storage.open(uri, block_bytes=1 << 18) as file:
                assert file.read() == data
            with storage.open(uri) as file:
                file.seek(1000)
                assert file.read(10) == data[1000:1010]
            storage.remove(f"{uri}.new")
        names = storage.names(FOLDER)
        found = storage.find(f"{FOLDER}/*")

    assert proxy.errors == []
    assert names == [f"{number:02d}" for number in range(12)]
    assert [file.uri for file in found] == [f"{FOLDER}/{name}" for name in names]
    assert set(proxy.faults) > {"internal_error", "slow_down", "reset", "cut_answer"}
    # Resets on a connection that was used before are tried again once by the HTTP client itself.
    told = proxy.faults["internal_error"] + proxy.faults["slow_down"]
    retries = RETRIES.made - retries_before
    assert 10 < told <= retries <= proxy.faults.total() - proxy.faults["delay"]


@pytest.mark.s3
def test_what_is_not_there_or_not_allowed_is_asked_for_once(s3, monkeypatch):
    with FaultyProxy(s3.endpoint_url, seed=1, rate=0) as proxy:
        storage = through(proxy)
        with pytest.raises(StorageError, match="no such"):
            storage.read(f"{FOLDER}/nothing")
        missing = proxy.requests
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(StorageError, match="access denied"):
            through(proxy).read(f"{FOLDER}/nothing")

    assert missing == 1
    assert proxy.requests == 2


def test_an_address_that_never_answered_is_given_up_soon():
    storage = Storage({"s3": {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s"}})
    retries, start = RETRIES.made, time.monotonic()

    with pytest.raises(StorageError, match="cannot be reached"):
        storage.read("s3://results/a")

    assert RETRIES.made - retries == 2
    assert time.monotonic() - start < 10


@pytest.mark.slow
def test_one_that_has_answered_gets_more_time_until_it_has_used_it_up():
    options = {"s3": {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s"}}
    storage = Storage(options, answered=["s3"])
    retries = RETRIES.made
    for made in (9, 2):
        with pytest.raises(StorageError, match="cannot be reached"):
            storage.read("s3://results/a")
        assert RETRIES.made - retries == made
        retries = RETRIES.made


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ECONNRESET, "reset"), True),
        (OSError(errno.EIO, "device"), True),
        (TimeoutError(), True),
        (OSError(errno.ENOSPC, "full"), False),
        (OSError(errno.EROFS, "read-only"), False),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (ValueError(), False),
    ],
)
def test_which_faults_pass(error, expected):
    assert passes(error) is expected


def test_a_full_disk_is_said_to_be_full_and_keeps_no_half_file(small_disk):
    uri = f"file://{small_disk}/part"

    with pytest.raises(StorageFullError, match=r"there is no space left .*; free some"):
        Storage().write(uri, bytes(8 << 20))

    assert list(small_disk.iterdir()) == []
