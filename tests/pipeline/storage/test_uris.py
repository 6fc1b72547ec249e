"""URIs: the same name for a place on every worker."""

import pytest

from pipeline.storage.uris import absolute_uri, glob_base, join, protocol_of, shown


def test_plain_paths_become_file_uris_and_are_shown_as_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    uri = absolute_uri("a folder/ü#1.png")

    assert uri == f"file://{tmp_path}/a folder/ü#1.png"
    assert shown(uri) == f"{tmp_path}/a folder/ü#1.png"
    assert absolute_uri("s3://bucket/a/") == "s3://bucket/a"
    assert join("s3://bucket/a/", "b", "c") == "s3://bucket/a/b/c"


@pytest.mark.parametrize(
    ("uri", "protocol"),
    [("/a/b", "file"), ("s3a://b/c", "s3"), ("gcs://b/c", "gs"), ("abfs://b/c", "abfs")],
)
def test_a_protocol_has_one_name(uri, protocol):
    assert protocol_of(uri) == protocol


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        ("s3://bucket/a/*.png", "s3://bucket/a"),
        ("s3://bucket/a/b-[0-9]/*.png", "s3://bucket/a"),
        ("file:///data/images/", "file:///data/images"),
    ],
)
def test_a_globs_base_is_the_folder_before_its_first_wildcard(pattern, base):
    assert glob_base(pattern) == base
