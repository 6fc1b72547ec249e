"""File names made of keys: they stay in their folder, fit any file system, and never meet."""

import os
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.export.file_names import FileNames, name_hash, safe_name

KEYS = st.text(st.sampled_from("aA./\\ :\0\x1b~-é図0") | st.characters(codec="utf-8"), max_size=60)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("city/berlin_000", "city/berlin_000"),
        ("a.b c-d", "a.b c-d"),
        ("../../x", "x"),
        ("/etc/passwd", "etc/passwd"),
        ("a//./b/../c", "a/b/c"),
        ("..\\..\\x", "___.._x"),
        ("C:/x", "C_/x"),
        ("a\0b\nc", "a_b_c"),
        (".hidden. ", "_hidden__"),
        ("s3://bucket/key?versionId=1", "s3_/bucket/key_versionId=1"),
        ("clip.PNG/frame", "clip.PNG_/frame"),
        ("图", "图"),
        ("", "image"),
        ("../..", "image"),
    ],
)
def test_a_key_becomes_a_name_as_much_like_it_as_can_be(key, name):
    assert safe_name(key, ".png") == name


@given(KEYS)
@example("図" * 300)
@example("a/" * 400 + "b")
@settings(max_examples=500, deadline=None)
def test_no_key_leaves_the_folder_or_is_too_long_for_a_file_system(key):
    name = safe_name(key, ".png") + "-0123456789abcdef.png"

    for path in (PurePosixPath(name), PureWindowsPath(name)):
        assert not path.is_absolute()
        assert not path.drive
        assert not {"", ".", ".."} & set(path.parts)
    assert os.path.normpath(name) == name
    assert "\0" not in name
    assert "\\" not in name
    temporary = f".{name.rpartition('/')[2]}.{'0' * 32}.tmp"
    assert all(len(step.encode()) <= 255 for step in (*name.split("/"), temporary))
    assert len(name.encode()) <= 530


@given(st.lists(KEYS | st.sampled_from(["x", "X", "../x", "x\0", "x_", "x.png/y"]), max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_two_rows_have_the_same_name_and_none_is_anothers_folder(keys):
    hashes = np.array([name_hash(safe_name(key, ".png")) for key in keys], dtype=np.int64)
    names = FileNames.of(".png", [hashes])

    given_names = [names.name(key, "shard", index)[0] for index, key in enumerate(keys)]

    folded = {name.casefold() for name in given_names}
    assert len(folded) == len(keys)
    folders = {
        str(folder).casefold() for name in given_names for folder in PurePosixPath(name).parents
    }
    assert not folded & folders


def test_names_that_some_file_system_takes_for_one_get_a_suffix_each():
    keys = ["Street", "street", "stre\u0301et", "str\u00e9et", "lane"]
    hashes = [np.array([name_hash(safe_name(key, ".png"))]) for key in keys]

    names = [FileNames.of(".png", hashes).name(key, "s", 7) for key in keys]

    assert [suffixed for _, suffixed in names] == [True, True, True, True, False]
    assert names[4][0] == "lane.png"


def test_a_key_cannot_pass_for_anothers_name_with_its_suffix():
    rows = ["x", "../x"]
    hashes = np.array([name_hash(safe_name(key, ".png")) for key in rows])
    taken, _ = FileNames.of(".png", [hashes]).name("x", "s", 0)
    forged = taken.removesuffix(".png")
    hashes = np.append(hashes, name_hash(safe_name(forged, ".png")))
    names = FileNames.of(".png", [hashes])

    assert names.name("x", "s", 0)[0] == taken
    assert names.name(forged, "s", 2)[0] not in (taken, names.name("../x", "s", 1)[0])
