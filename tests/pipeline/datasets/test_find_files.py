"""The files that a data set is given by: ranges and globs, each file once, none missing."""

import pytest

from pipeline.datasets.find_files import find_files
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage


@pytest.fixture
def folder(tmp_path):
    for name in ("b.tar", "a.tar", "Z.tar", "a.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def found(images):
    dataset = DatasetSpec(name="d", format="webdataset", images=images)
    return find_files(dataset, Storage())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.tar", ["Z.tar", "a.tar", "b.tar"]),
        ("{b,a}.tar", ["a.tar", "b.tar"]),
        ("{a,?,a}.tar", ["Z.tar", "a.tar", "b.tar"]),
        ("a.txt", ["a.txt"]),
    ],
)
def test_each_file_comes_once_in_byte_order(folder, pattern, names):
    files = found(f"{folder}/{pattern}")

    assert [file.uri for file in files] == [f"file://{folder}/{name}" for name in names]
    assert [file.size_bytes for file in files] == [len(name) for name in names]


def test_files_that_are_named_must_all_be_there(folder):
    with pytest.raises(PlanError, match=r"dataset d: 2 of the files named .* first is .*/c\.tar"):
        found(f"{folder}/{{a,c,d}}.tar")


def test_a_pattern_that_matches_nothing_is_named(folder):
    with pytest.raises(PlanError, match=r"no files at .*/\*\.webp; check the pattern"):
        found(f"{folder}/*.webp")
