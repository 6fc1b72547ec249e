"""Whole runs over every kind of source: the same images give the same rows, broken shards heal."""

import gzip
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import plan, run
from pipeline.errors import SpecError
from tars import make_tar, member_offsets
from tiny_job import read_rows

pytestmark = pytest.mark.usefixtures("without_ray")

COMPARED = ("status", "mask", "class_pixels", "confusion", "ignored_pixels", "image_sha256")


def pairs(job):
    """Return key, image and target of a tiny job's pictures, encoded."""
    return [
        (path.stem, path.read_bytes(), (job.root / "targets" / path.name).read_bytes())
        for path in sorted((job.root / "images").iterdir())
    ]


def tar_of(job, keys=None):
    members = []
    for key, image, target in pairs(job):
        if keys is None or key in keys:
            members += [(f"{key}.png", image), (f"{key}.seg.png", target), (f"{key}.json", b"{}")]
    return make_tar(members)


def as_tar(job, *, data=None):
    """Turn a tiny job into one whose only dataset is a tar."""
    (job.root / "pictures.tar").write_bytes(tar_of(job) if data is None else data)
    del job.dataset["targets"]
    job.dataset.update(
        format="webdataset",
        images=str(job.root / "pictures.tar"),
        members={"image": "png", "target": "seg.png"},
    )
    return job


def rows_by_dataset(job):
    found = {}
    for file in sorted(job.output.glob("masks/dataset=*/*.parquet")):
        name = file.parent.name.removeprefix("dataset=")
        found.setdefault(name, []).extend(pq.ParquetFile(file).read().to_pylist())
    return found


def part_endings(job):
    names = sorted(path.name for path in job.output.glob("masks/*/*.parquet"))
    return [name[len("pictures.tar-") + 16 :] for name in names]


def test_folder_tar_manifest_and_tables_give_the_same_rows(tiny_job):
    data = pairs(tiny_job)
    root = tiny_job.root
    folder = dict(tiny_job.dataset)
    as_tar(tiny_job)
    tiny_job.dataset["name"] = "tar"
    base = {"classes": folder["classes"]}
    pq.write_table(
        pa.table(
            {"key": [d[0] for d in data], "i": [d[1] for d in data], "t": [d[2] for d in data]}
        ),
        root / "bytes.parquet",
        row_group_size=2,
    )
    rows = [{"i": f"images/{d[0]}.png", "t": f"targets/{d[0]}.png"} for d in data]
    (root / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), root / "uris.parquet")
    columns = {"image": "i", "target": "t"}
    tiny_job.spec["datasets"] += [
        folder,
        {
            **base,
            "name": "table",
            "format": "parquet",
            "images": str(root / "bytes.parquet"),
            "columns": {**columns, "key": "key"},
        },
        {
            **base,
            "name": "manifest",
            "format": "manifest",
            "images": str(root / "list.jsonl"),
            "columns": columns,
        },
        {
            **base,
            "name": "uris",
            "format": "parquet",
            "images": str(root / "uris.parquet"),
            "columns": columns,
        },
    ]

    report = run(tiny_job.validated())

    assert report.exit_code == 0
    found = rows_by_dataset(tiny_job)
    expected = [{name: row[name] for name in ("key", *COMPARED)} for row in found["pictures"]]
    assert set(found) == {"pictures", "tar", "table", "manifest", "uris"}
    for name, its_rows in found.items():
        got = [{column: row[column] for column in ("key", *COMPARED)} for row in its_rows]
        assert got == expected, name
        assert len({(row["shard"], row["index"]) for row in its_rows}) == 12
    scores = {dataset.scores.miou for dataset in report.datasets}
    assert len(scores) == 1
    assert {dataset.planned for dataset in report.datasets} == {12}


def test_a_cut_tar_is_read_again_and_heals_when_it_is_mended(tiny_job):
    whole = tar_of(tiny_job)
    _, _, behind = member_offsets(whole)[3 * 7 - 1]  # seven samples
    job = as_tar(tiny_job, data=whole[:behind])

    first = run(job.validated())
    cut_rows = read_rows(job.output)
    again = run(job.validated())
    (job.root / "pictures.tar").write_bytes(whole)
    mended = run(job.validated())

    assert first.exit_code == again.exit_code == 1
    assert (first.complete, mended.complete) == (False, True)
    assert first.broken_shards == [f"file://{job.root}/pictures.tar"]
    assert [row["status"] for row in cut_rows] == ["ok"] * 7 + ["truncated"]
    assert "without an end-of-archive block" in cut_rows[-1]["error"]
    assert cut_rows[-1]["index"] == 7
    assert again.timings.images == {"pictures": 3}
    assert mended.exit_code == 0
    assert part_endings(job) == ["-000000.parquet", "-000001.parquet", "-000002-end.parquet"]
    rows = read_rows(job.output)
    assert [row["status"] for row in rows] == ["ok"] * 12
    assert [row["flags"] for row in rows] == [[]] * 5 + [["shard_mended"]] * 7


def test_each_kind_of_broken_tar_keeps_its_good_images_and_says_how_it_broke(tiny_job):
    whole = tar_of(tiny_job)
    header, content, _ = member_offsets(whole)[3 * 7]  # of the eighth sample
    compressed = gzip.compress(whole, mtime=0)
    broken = {
        "a-in-member": whole[: content + 50],
        "b-in-header": whole[: header + 50],
        "c-between": whole[:header],
        "d-damaged-header": whole[:header] + b"\xff" * 512 + whole[content:],
        "e-empty": b"",
        "f-gzip-cut": compressed[:-9],
        "g-gzip-checksum": compressed[:-8] + bytes(8),
        "h-whole": compressed,
    }
    job = as_tar(tiny_job)
    for name, data in broken.items():
        (job.root / f"{name}.tar").write_bytes(data)
    (job.root / "pictures.tar").unlink()
    job.dataset["images"] = str(job.root / "*.tar")

    report = run(job.validated())

    by_tar = {}
    for row in read_rows(job.output):
        by_tar.setdefault(row["shard"].rpartition("/")[2][:1], []).append(row)
    good = {name: sum(row["status"] == "ok" for row in rows) for name, rows in by_tar.items()}
    assert good == {"a": 7, "b": 7, "c": 7, "d": 7, "e": 0, "f": 12, "g": 12, "h": 12}
    errors = {name: rows[-1]["error"] for name, rows in by_tar.items() if name != "h"}
    assert all(rows[-1]["status"] == "truncated" for name, rows in by_tar.items() if name != "h")
    assert "ends inside the member picture-07" in errors["a"]
    assert "ends inside a member's header" in errors["b"]
    assert "without an end-of-archive block" in errors["c"]
    assert "has a damaged header" in errors["d"]
    assert "is empty" in errors["e"]
    assert "ends inside its gzip stream" in errors["f"]
    assert "its gzip stream is damaged" in errors["g"]
    cut = [path.name for path in job.output.glob("masks/*/*-cut.parquet")]
    assert len(cut) == 7
    assert report.exit_code == 1


def test_a_cut_tar_that_becomes_another_is_not_mixed_with_what_it_was(tiny_job):
    whole = tar_of(tiny_job)
    _, _, behind = member_offsets(whole)[3 * 7 - 1]
    job = as_tar(tiny_job, data=whole[:behind])
    run(job.validated())
    others = [f"picture-{n:02d}" for n in range(3, 12)]
    (job.root / "pictures.tar").write_bytes(tar_of(job, others))

    report = run(job.validated())
    rows = read_rows(job.output)
    (job.root / "pictures.tar").write_bytes(whole)
    healed = run(job.validated())

    assert [row["status"] for row in rows] == ["ok"] * 5 + ["truncated"]
    assert "those of part 0, which is committed, differ" in rows[-1]["error"]
    assert (report.exit_code, healed.exit_code) == (1, 0)
    assert [row["status"] for row in read_rows(job.output)] == ["ok"] * 12


@pytest.mark.parametrize("after", ["changed", "gone"])
def test_a_tar_that_is_not_the_planned_one_is_a_row_until_it_is_back(tiny_job, after):
    job = as_tar(tiny_job)
    tar = job.root / "pictures.tar"
    run(job.validated())
    lost = sorted(job.output.glob("masks/*/*.parquet"))[1]
    lost_bytes = lost.read_bytes()
    lost.unlink()
    tar.rename(job.root / "kept")
    if after == "changed":
        tar.write_bytes(tar_of(job, ["picture-03"]))

    reports = [run(job.validated()) for _ in range(2)]
    rows = read_rows(job.output)
    (job.root / "kept").replace(tar)
    healed = run(job.validated())

    assert [report.exit_code for report in reports] == [1, 1]
    status = {"changed": "changed", "gone": "unreadable"}[after]
    assert sum(row["status"] == status for row in rows) == 1
    assert healed.exit_code == 0
    assert lost.read_bytes() == lost_bytes
    assert len(part_endings(job)) == 3


def test_keys_that_repeat_in_a_tar_are_kept_and_flagged(tiny_job):
    job = as_tar(tiny_job, data=make_tar([]))
    _, image, target = pairs(job)[0]
    members = [("a.png", image), ("a.seg.png", target)] * 2 + [("b.png", image)]
    (job.root / "pictures.tar").write_bytes(make_tar([*members, ("b.seg.png", target)]))

    run(job.validated())

    rows = read_rows(job.output)
    assert [(row["key"], row["flags"]) for row in rows] == [
        ("a", ["duplicate_key"]),
        ("a", ["duplicate_key"]),
        ("b", []),
    ]


def test_an_empty_tar_is_no_error(tiny_job):
    job = as_tar(tiny_job, data=make_tar([]))

    report = run(job.validated())

    assert (report.exit_code, report.datasets[0].counts.images) == (0, 0)
    assert part_endings(job) == ["-000000-end.parquet"]


def test_a_limited_run_reads_no_more_of_the_tars_than_it_takes(tiny_job):
    job = as_tar(tiny_job)
    keys = [f"picture-{n:02d}" for n in range(12)]
    for number in range(3):
        shard = tar_of(job, keys[number * 4 : number * 4 + 4])
        (job.root / f"s-{number}.tar").write_bytes(shard)
    job.dataset["images"] = str(job.root / "s-{0..2}.tar")

    report = run(job.validated().limited(6))

    job.spec["output"] += "-limit6"
    assert [row["key"] for row in read_rows(job.output)] == keys[:6]
    assert report.exit_code == 0
    assert pq.read_table(job.output / "plan/pictures.parquet")["take_images"].to_pylist() == [6, 2]


def test_a_refresh_adds_new_images_behind_the_old_ones(tiny_job):
    first = run(tiny_job.validated())
    before = {path: path.read_bytes() for path in tiny_job.output.glob("masks/*/*")}
    for folder in ("images", "targets"):
        path = tiny_job.root / folder
        shutil.copy(path / "picture-00.png", path / "a-new-one.png")

    second = run(tiny_job.validated(), refresh=True)
    third = run(tiny_job.validated(), refresh=True)

    assert first.datasets[0].planned == 12
    assert second.datasets[0].planned == second.datasets[0].ok == third.datasets[0].ok == 13
    assert third.timings.images == {}
    assert {path: path.read_bytes() for path in before} == before
    [new] = [row for row in read_rows(tiny_job.output) if row["key"] == "a-new-one"]
    assert new["shard"].endswith("images#000001")


def test_a_refresh_adds_new_tars(tiny_job):
    job = as_tar(tiny_job)
    job.dataset["images"] = str(job.root / "*.tar")
    run(job.validated())
    shutil.copy(job.root / "pictures.tar", job.root / "more.tar")

    report = run(job.validated(), refresh=True)

    assert report.datasets[0].ok == 24
    [progress] = plan(job.validated())
    assert (progress.shards, progress.committed_shards, progress.images) == (2, 2, None)


def test_a_refresh_of_a_limited_run_is_refused(tiny_job):
    with pytest.raises(SpecError, match="limit_images: does not go with a refresh"):
        run(tiny_job.validated().limited(3), refresh=True)


def test_work_is_grouped_where_there_are_many_shards_and_every_image_is_done(tiny_job, monkeypatch):
    monkeypatch.setattr("pipeline.execution.ray_data._MOST_ROWS", 2)
    job = as_tar(tiny_job)
    _, image, target = pairs(job)[0]
    for number in range(9):
        tar = make_tar([(f"{number}.png", image), (f"{number}.seg.png", target)])
        (job.root / f"s-{number}.tar").write_bytes(tar)
    job.dataset["images"] = str(job.root / "s-*.tar")

    report = run(job.validated())

    assert report.exit_code == 0
    assert sorted(row["key"] for row in read_rows(job.output)) == [str(n) for n in range(9)]


def test_a_target_in_a_tar_may_be_missing(tiny_job):
    _, image, target = pairs(tiny_job)[0]
    members = [("a.png", image), ("b.png", image), ("b.seg.png", target)]
    job = as_tar(tiny_job, data=make_tar(members))

    run(job.validated())

    rows = read_rows(job.output)
    assert [(row["key"], row["status"]) for row in rows] == [("a", "missing_target"), ("b", "ok")]
    assert rows[0]["mask"] is not None


def test_a_row_for_a_lost_table_stands_behind_those_that_are_committed(tiny_job):
    data = pairs(tiny_job)
    path = tiny_job.root / "t.parquet"
    pq.write_table(pa.table({"image": [image for _, image, _ in data]}), path, row_group_size=4)
    del tiny_job.dataset["targets"]
    tiny_job.dataset.update(format="parquet", images=str(path))
    tiny_job.spec["part_images"] = 1
    run(tiny_job.validated())
    max(tiny_job.output.glob("masks/*/*.parquet")).unlink()
    path.write_bytes(b"something else")

    report = run(tiny_job.validated())

    rows = read_rows(tiny_job.output)
    assert [row["status"] for row in rows] == ["ok"] * 11 + ["changed"]
    assert len({(row["shard"], row["index"]) for row in rows}) == 12
    assert rows[-1]["index"] == 11
    assert report.exit_code == 1


def test_locations_in_a_table_that_lead_to_other_storages_are_rows_that_say_so(tiny_job):
    [(_, image, _), *_] = pairs(tiny_job)
    (tiny_job.root / "a.png").write_bytes(image)
    paths = ["a.png", "reference://a.png", "simplecache::file:///etc/hostname"]
    column = [{"bytes": None, "path": path} for path in paths]
    pq.write_table(pa.table({"image": column}), tiny_job.root / "t.parquet")
    del tiny_job.dataset["targets"]
    tiny_job.dataset.update(format="parquet", images=str(tiny_job.root / "t.parquet"))

    report = run(tiny_job.validated())

    rows = read_rows(tiny_job.output)
    assert [row["status"] for row in rows] == ["ok", "unreadable", "unreadable"]
    assert "'reference://a.png' is not followed: its protocol is 'reference'" in rows[1]["error"]
    assert "it holds '::'" in rows[2]["error"]
    assert report.exit_code == 1
