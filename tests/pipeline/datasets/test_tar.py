"""Tars read from front to back: how one that is broken is told from one that has ended."""

import gzip
import io
import tarfile

import pytest

from pipeline.datasets.tar import read_members
from pipeline.errors import ShardBrokenError
from tars import PAIRS, collect, make_tar, member_offsets


def test_a_name_that_is_no_text_becomes_one():
    data = make_tar([("ab\udcffc.j", b"i")])

    [sample], _ = collect(data)

    assert sample.key == "ab\\xffc"


def test_links_and_folders_are_no_samples():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("d.j", tarfile.DIRTYPE), ("l.j", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd"
            archive.addfile(info)

    assert collect(buffer.getvalue()) == ([], None)


def test_a_tar_with_nothing_in_it_is_whole():
    assert collect(make_tar([])) == ([], None)


TAR = make_tar(PAIRS)


HEADER, CONTENT, BEHIND = member_offsets(TAR)[6]  # of 003.j


@pytest.mark.parametrize(
    ("data", "keys", "reason"),
    [
        (b"", [], "is empty"),
        (TAR[: CONTENT + 100], ["000", "001", "002"], r"ends inside the member 003\.j"),
        (TAR[: HEADER + 100], ["000", "001", "002"], "ends inside a member's header"),
        (TAR[:HEADER], ["000", "001", "002"], "without an end-of-archive block"),
        (TAR[:BEHIND], ["000", "001", "002", "003"], "without an end-of-archive block"),
        (
            TAR[:HEADER] + bytes([255]) * 512 + TAR[CONTENT:],
            ["000", "001", "002"],
            f"damaged header at byte {HEADER}",
        ),
        (b"<html>not found</html>" * 100, [], "begins with no tar header"),
        (gzip.compress(TAR)[:-4], ["000", "001", "002", "003", "004"], "ends inside its gzip"),
    ],
)
def test_a_broken_tar_gives_what_is_good_and_says_how_it_broke(data, keys, reason):
    samples, broken = collect(data)

    assert [sample.key for sample in samples] == keys
    with pytest.raises(ShardBrokenError, match=reason):
        raise broken or AssertionError("it did not break")


def test_a_gzip_stream_with_a_wrong_checksum_is_broken_though_every_member_came():
    data = bytearray(gzip.compress(TAR, mtime=0))
    data[-6] ^= 1

    samples, broken = collect(bytes(data))

    assert len(samples) == 5
    assert "CRC" in broken.reason


def test_damage_in_the_middle_of_a_gzip_stream_is_no_sample():
    data = bytearray(gzip.compress(make_tar((f"{n}.j", bytes([n]) * 999) for n in range(99))))
    data[len(data) // 2] ^= 255

    samples, broken = collect(bytes(data))

    assert broken is not None
    assert all(sample.image in (bytes([n]) * 999 for n in range(99)) for sample in samples[:-1])


def test_a_member_that_is_not_wanted_is_passed_over_unread():
    members = [("a.j", b"1234"), ("b.j", b"12"), ("c.p", b"1")]

    found = list(
        read_members(
            io.BytesIO(make_tar(members)), lambda name, size: name.endswith("j") and size < 3
        )
    )

    assert [(member.name, member.size_bytes, member.data) for member in found] == [
        ("a.j", 4, None),
        ("b.j", 2, b"12"),
        ("c.p", 1, None),
    ]


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (bytes(tarfile.RECORDSIZE), "zeros .* more than a tar ends with"),
        (make_tar(PAIRS), "a header is lost, or several archives were joined"),
    ],
)
def test_what_lies_behind_the_end_of_an_archive_is_told_of(behind, reason):
    samples, broken = collect(TAR + behind)

    assert len(samples) == 5
    with pytest.raises(ShardBrokenError, match=reason):
        raise broken or AssertionError("it did not break")
