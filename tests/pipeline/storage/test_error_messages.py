"""What file systems raise, in words that say what to do; and what says that an object is there."""

import errno

import pytest

from pipeline.errors import ShardBrokenError, StorageError, StorageFullError
from pipeline.storage.error_messages import explained, says_exists
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "access denied .*; check the credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_s3_faults_say_what_to_check(monkeypatch, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(StorageError, match=f"s3://results/a: {message}"):
        Storage().read("s3://results/a")


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
def test_an_unknown_bucket_is_named():
    with pytest.raises(StorageError, match=r"s3://no-such-bucket.*no such bucket or object"):
        Storage().find("s3://no-such-bucket/images/*.png")


class _ClientError(Exception):
    """What a client of an object store raises: its status stands in a field."""

    def __init__(self, **fields):
        super().__init__("the object s3://bucket/run-412/pre-condition is there, says a text")
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("error", "exists"),
    [
        (FileExistsError(17, "File exists"), True),
        (_ClientError(response={"ResponseMetadata": {"HTTPStatusCode": 412}}), True),
        (_ClientError(response={"Error": {"Code": "PreconditionFailed"}}), True),
        (_ClientError(status=412), True),
        (_ClientError(code="412"), True),
        (type("ResourceExistsError", (_ClientError,), {})(status_code=409), True),
        (_ClientError(response={"ResponseMetadata": {"HTTPStatusCode": 500}}), False),
        (_ClientError(status_code=409), False),
        (_ClientError(), False),
        (OSError(28, "No space left on device", "/data/run-412/job.json"), False),
        (ValueError("PreconditionFailed"), False),
    ],
)
def test_that_an_object_exists_is_told_by_types_and_codes_alone(error, exists):
    wrapped = OSError(5, "Input/output error")
    wrapped.__cause__ = error

    assert says_exists(error) is says_exists(wrapped) is exists


@pytest.mark.parametrize("name", ["run-412/job.json", "PreconditionFailed/pre-condition"])
def test_on_a_dead_server_nothing_exists(name, monkeypatch):
    """`create` of s3://…/run-412/x once said that it exists, for "412" stood in the error."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    storage = Storage({"s3": {"endpoint_url": "http://127.0.0.1:1"}})

    with pytest.raises(StorageError, match="cannot be reached"):
        storage.create(f"s3://bucket/{name}", b"x")


@pytest.mark.parametrize("below", ["x.parquet", "folder/x.parquet"])
def test_what_a_file_stands_in_the_way_of_does_not_exist(tmp_path, below):
    (tmp_path / "masks").write_text("")

    with pytest.raises(StorageError, match="there is a file where a folder should be"):
        Storage().create(absolute_uri(str(tmp_path / "masks" / below)), b"x")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "access denied .*check the credent"),
        (_ClientError(response={"Error": {"Code": "AccessDenied"}}), "access denied"),
        (type("NoCredentialsError", (Exception,), {})(), "no credentials found; set them in the"),
        (TypeError("no option 'anno'"), "TypeError: no option 'anno'; check the storage_options"),
        (RuntimeError("of no known kind"), "RuntimeError: of no known kind$"),
    ],
)
def test_a_fault_is_told_with_the_location_and_the_remedy(error, message):
    with (
        pytest.raises(StorageError, match=f"s3://bucket/x: {message}") as caught,
        explained("s3://bucket/x"),
    ):
        raise error

    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        _ClientError(status=507),
        _ClientError(response={"Error": {"Code": "QuotaExceeded"}}),
    ],
)
def test_a_storage_that_takes_no_more_is_told_of_as_such(error):
    with pytest.raises(StorageFullError, match="there is no space left"), explained("s3://b/x"):
        raise error


@pytest.mark.parametrize(
    "error", [StorageError("s3://b/y", "told"), ShardBrokenError("is empty", at_end=True)]
)
def test_what_is_explained_already_stays_as_it_is(error):
    with pytest.raises(type(error)) as caught, explained("s3://b/x"):
        raise error

    assert caught.value is error
