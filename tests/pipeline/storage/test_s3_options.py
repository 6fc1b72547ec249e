"""S3 by `storage_options` and environment: what each option does, and what its absence says."""

import json
import os

import pytest

from object_store import ACCESS_KEY, SECRET_KEY
from pipeline.errors import StorageError
from pipeline.storage.storage import Storage

pytestmark = pytest.mark.s3

OBJECT = "s3://shards/options/a.bin"


@pytest.fixture
def store(object_store, monkeypatch, tmp_path):
    """The S3 server with an object in it, and an environment that says nothing of it."""
    object_store.filesystem().pipe_file(OBJECT, b"content")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no instance is asked for its role
    return object_store


@pytest.fixture
def credentials(store, monkeypatch):  # noqa: ARG001 - the environment is emptied before
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def profile(store, tmp_path):
    """A profile in AWS's own files that says all: region, endpoint and credentials."""
    (tmp_path / "config").write_text(
        f"[profile lab]\nregion = eu-central-1\nendpoint_url = {store.endpoint_url}\n"
    )
    (tmp_path / "credentials").write_text(
        f"[lab]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    return "lab"


@pytest.fixture
def public_bucket(store):
    """A bucket that its policy opens to all who read."""
    fs = store.filesystem()
    fs.call_s3("create_bucket", Bucket="public")
    fs.pipe_file("public/a.bin", b"for all")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::public", "arn:aws:s3:::public/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    fs.call_s3("put_bucket_policy", Bucket="public", Policy=policy)
    yield "s3://public"
    fs.rm("public", recursive=True)


def at(store, **options):
    """Return a storage whose options name the server, and what else is given."""
    return Storage({"s3": {"endpoint_url": store.endpoint_url, **options}})


def client(storage):
    """Return the S3 client that a storage uses, which knows region and endpoint."""
    fs, _ = storage._locate(OBJECT)  # noqa: SLF001 - nothing public tells where requests go
    return fs.s3.meta


def refusal(storage, method="read", *arguments):
    with pytest.raises(StorageError) as caught:
        getattr(storage, method)(OBJECT, *arguments)
    assert caught.value.uri == OBJECT
    return caught.value.reason


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_in_the_options_needs_none_in_the_environment(store):
    storage = at(store)

    storage.write("s3://results/options/written.bin", b"x")

    assert storage.read(OBJECT) == b"content"
    assert [file.uri for file in storage.find("s3://shards/options/*.bin")] == [OBJECT]
    assert storage.names("s3://results/options") == ["written.bin"]


@pytest.mark.usefixtures("credentials")
def test_the_endpoint_in_the_options_goes_before_the_environments(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    assert at(store).read(OBJECT) == b"content"


@pytest.mark.parametrize("chosen_by", ["options", "environment"])
def test_a_profile_brings_region_endpoint_and_credentials(profile, store, monkeypatch, chosen_by):
    if chosen_by == "environment":
        monkeypatch.setenv("AWS_PROFILE", profile)
    storage = Storage({"s3": {"profile": profile}} if chosen_by == "options" else None)

    assert storage.read(OBJECT) == b"content"
    assert client(storage).region_name == "eu-central-1"
    assert client(storage).endpoint_url == store.endpoint_url


def test_a_profile_in_the_options_goes_before_credentials_in_the_environment(profile, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")

    assert Storage({"s3": {"profile": profile}}).read(OBJECT) == b"content"


@pytest.mark.usefixtures("profile")
def test_a_profile_that_is_not_there_is_named():
    assert "profile (lob) could not be found" in refusal(Storage({"s3": {"profile": "lob"}}))


@pytest.mark.usefixtures("credentials")
def test_the_region_may_stand_in_the_options(store):
    storage = at(store, client_kwargs={"region_name": "ap-south-1"})

    assert storage.read(OBJECT) == b"content"
    assert client(storage).region_name == "ap-south-1"


def test_a_public_bucket_is_read_anonymously_and_not_written(store, public_bucket):
    storage = at(store, anon=True)

    assert storage.read(f"{public_bucket}/a.bin") == b"for all"
    assert [file.size_bytes for file in storage.find(f"{public_bucket}/*")] == [7]
    with pytest.raises(StorageError, match="access denied"):
        storage.write(f"{public_bucket}/b.bin", b"x")


@pytest.mark.usefixtures("credentials")
def test_anonymous_requests_are_unsigned_and_denied_where_the_bucket_is_not_public(store):
    """The credentials are there, and would do: `anon` leaves them aside."""
    assert at(store).read(OBJECT) == b"content"

    assert refusal(at(store, anon=True)).startswith("access denied (Access Denied.); check the cr")


@pytest.mark.parametrize(
    ("key", "secret"), [(ACCESS_KEY, "wrong"), ("unknown", SECRET_KEY)], ids=["secret", "key"]
)
@pytest.mark.parametrize("method", ["read", "stat", "find", "write"])
def test_wrong_credentials_are_denied_whatever_is_done(store, monkeypatch, key, secret, method):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    reason = refusal(at(store), method, *([b"x"] if method == "write" else []))

    assert reason.startswith("access denied (")
    assert reason.endswith("; check the credentials in the environment and what they may do here")


@pytest.mark.parametrize("method", ["read", "stat", "find", "write"])
def test_without_credentials_the_ways_to_give_them_are_named(store, method):
    reason = refusal(at(store), method, *([b"x"] if method == "write" else []))

    assert reason == (
        "no credentials found; set them in the environment (AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or an instance role)"
    )
