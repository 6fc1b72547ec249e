"""Tars: what their samples are, and which tars a data set has."""

import io
import tarfile

import pytest

from pipeline.datasets import webdataset
from pipeline.datasets.webdataset import KEY_ATTRIBUTE, WINDOW_MEMBERS, list_shards
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec, MembersSpec
from pipeline.storage.storage import Storage
from tars import PAIRS, collect, make_tar


@pytest.mark.parametrize("compress", [False, True])
def test_samples_come_in_order_with_image_and_target(compress):
    samples, broken = collect(make_tar(PAIRS, compress=compress))

    assert broken is None
    assert [s.index for s in samples] == [0, 1, 2, 3, 4]
    assert [s.key for s in samples] == ["000", "001", "002", "003", "004"]
    assert [s.image for s in samples] == [data for name, data in PAIRS if name.endswith("j")]
    assert [s.target for s in samples] == [data for name, data in PAIRS if name.endswith("p")]
    assert (samples[3].uri, samples[3].target_uri) == ("u.tar#003.j", "u.tar#003.p")


def test_members_of_a_sample_need_not_be_adjacent():
    apart = sorted(PAIRS, key=lambda member: member[0][-1])

    samples, _ = collect(make_tar(apart))

    assert [s.key for s in samples] == ["000", "001", "002", "003", "004"]
    assert all(s.image and s.target for s in samples)


def test_members_too_far_apart_are_told_of_and_none_is_lost():
    filler = [(f"f{n:04d}.j", b"x") for n in range(WINDOW_MEMBERS)]

    samples, _ = collect(make_tar([("a.j", b"i"), *filler, ("a.p", b"t")]))

    assert len(samples) == WINDOW_MEMBERS + 2
    assert (samples[0].image, samples[0].target) == (b"i", None)
    assert (samples[-1].status, samples[-1].image) == ("unreadable", None)
    assert f"within {WINDOW_MEMBERS} members" in samples[-1].error


def test_a_window_of_large_members_is_bounded_by_bytes(monkeypatch):
    monkeypatch.setattr(webdataset, "_WINDOW_BYTES", 3000)
    images = [(f"{n}.j", bytes(1000)) for n in range(9)]

    samples, _ = collect(make_tar([*images, ("0.p", b"late")]))

    assert [s.key for s in samples] == [str(n) for n in range(9)] + ["0"]


def test_without_a_name_the_image_is_the_member_that_is_one_by_its_extension():
    members = [("d/a.b.json", b"{}"), ("d/a.JPG", b"i"), ("d/a.cls", b"1"), ("d/c.d.tif", b"k")]

    samples, _ = collect(make_tar(members), MembersSpec())

    assert [(s.key, s.image) for s in samples] == [("d/a", b"i"), ("d/c", b"k")]


def test_a_member_of_an_unknown_kind_is_the_image_if_it_is_the_only_one():
    members = [("a.container", b"i"), ("a.json", b"{}"), ("noext", b"k"), ("./b.png", b"l")]

    samples, _ = collect(make_tar(members), MembersSpec())

    assert [(s.key, s.image) for s in samples] == [("a", b"i"), ("noext", b"k"), ("b", b"l")]


def test_two_possible_images_are_refused_rather_than_guessed_at():
    samples, _ = collect(make_tar([("a.jpg", b"i"), ("a.png", b"t")]), MembersSpec())
    [named], _ = collect(make_tar([("a.jpg", b"i"), ("a.png", b"t")]), MembersSpec(target="png"))

    assert [(s.status, s.image) for s in samples] == [("unreadable", None)]
    assert "extensions: jpg, png" in samples[0].error
    assert "members: {image" in samples[0].error
    assert (named.image, named.target) == (b"i", b"t")


def test_a_sample_without_an_image_is_a_row_and_a_tars_own_notes_are_not():
    members = [("a.json", b"{}"), ("__index__.json", b"{}"), ("._b.jpg", b"x"), ("b.jpg", b"i")]

    samples, _ = collect(make_tar(members), MembersSpec())

    assert [(s.key, s.status) for s in samples] == [("a", "unreadable"), ("b", "ok")]
    assert "extensions: json" in samples[0].error


def test_samples_that_share_a_key_are_both_kept():
    members = [("a.j", b"1"), ("a.p", b"2"), ("a.j", b"3"), ("a.p", b"4")]

    samples, _ = collect(make_tar(members))

    assert [(s.image, s.target) for s in samples] == [(b"1", b"2"), (b"3", b"4")]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_keys_are_data(kind):
    keys = ["../../x", "/etc/passwd", "ünï 图 <script>alert(1)<|script>", "k" * 4096]

    samples, broken = collect(make_tar([(f"{key}.j", b"i") for key in keys], kind=kind))

    assert broken is None
    assert [s.key for s in samples] == keys


def test_a_key_that_no_member_name_can_hold_stands_in_an_attribute():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("000.j")
        info.pax_headers = {KEY_ATTRIBUTE: "a.b/c.d"}
        archive.addfile(info)

    [sample], _ = collect(buffer.getvalue())

    assert sample.key == "a.b/c.d"


def test_an_image_of_absurd_size_is_not_read_into_memory(monkeypatch):
    monkeypatch.setattr(webdataset, "MAX_ENCODED_BYTES", 100)

    samples, _ = collect(make_tar([("a.j", bytes(101)), ("b.j", bytes(100))]))

    assert [(s.status, s.image is None) for s in samples] == [("too_large", True), ("ok", False)]
    assert "101 encoded bytes" in samples[0].error


TAR = make_tar(PAIRS)


@pytest.fixture
def shards(tmp_path):
    for number in range(12):
        (tmp_path / f"s-{number:04d}.tar").write_bytes(TAR)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s-{0002..0004}.tar", ["s-0002", "s-0003", "s-0004"]),
        ("s-{0007,0001}.tar", ["s-0001", "s-0007"]),
        ("s-000?.tar", [f"s-000{n}" for n in range(10)]),
        ("s-00{0[89],1?}.tar", ["s-0008", "s-0009", "s-0010", "s-0011"]),
    ],
)
def test_tars_are_given_by_brace_ranges_and_globs(shards, pattern, names):
    dataset = DatasetSpec(name="d", format="webdataset", images=f"{shards}/{pattern}")

    found = list_shards(dataset, Storage())

    assert [shard.uri.rpartition("/")[2] for shard in found] == [f"{name}.tar" for name in names]
    assert found[0].size_bytes == len(TAR)


def test_a_folder_is_no_tar(shards):
    dataset = DatasetSpec(name="d", format="webdataset", images=str(shards))

    with pytest.raises(PlanError, match=r"not there.*of a folder, give what is in it: folder/\*"):
        list_shards(dataset, Storage())


def test_a_tar_that_a_range_names_must_be_there(shards):
    dataset = DatasetSpec(name="d", format="webdataset", images=f"{shards}/s-{{0010..0013}}.tar")

    with pytest.raises(PlanError, match=r"2 of the files named are not there.*s-0012\.tar"):
        list_shards(dataset, Storage())
