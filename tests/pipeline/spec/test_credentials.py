"""Credentials: refused wherever a spec holds them, and never repeated in what is said of it."""

import pytest

from pipeline.spec.credentials import (
    check_locations,
    check_storage_options,
    has_password,
    without_password,
)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"s3": {"secret": "hidden"}}, r"s3\.secret"),
        ({"s3": {"client_kwargs": {"aws_session_Token": "hidden"}}}, "aws_session_Token"),
        ({"abfs": {"connection_string": "hidden"}}, "connection_string"),
        ({"s3": {"endpoint_url": "https://me:hidden@store"}}, "endpoint_url"),
    ],
)
def test_an_option_that_looks_like_a_credential_is_named_without_its_value(options, name):
    with pytest.raises(ValueError, match=f"{name} looks like a credential(?!.*hidden)"):
        check_storage_options(options)


def test_other_options_may_stand_in_a_spec():
    check_storage_options({"s3": {"endpoint_url": "https://store:9000", "anon": True}})

    with pytest.raises(ValueError, match="'s3a' is called 's3' here"):
        check_storage_options({"s3a": {"anon": True}})


def test_a_location_with_a_password_is_named_without_it():
    with pytest.raises(ValueError, match="'sftp://host/y' is written with a password") as caught:
        check_locations(["s3://bucket/x", "sftp://me:hidden@host/y"])

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "written_with_one", "shown"),
    [
        ("sftp://me:pass@host/x", True, "sftp://host/x"),
        ("sftp://:pass@host/x", True, "sftp://host/x"),
        ("sftp://me@host/x", False, "sftp://me@host/x"),
        ("s3://bucket/a:b@c", False, "s3://bucket/a:b@c"),
        ("https://host:80/x", False, "https://host:80/x"),
    ],
)
def test_a_password_stands_before_the_host_alone(uri, written_with_one, shown):
    assert has_password(uri) is written_with_one
    assert without_password(uri) == shown
