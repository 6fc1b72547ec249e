"""CamVid in every form that a dataset can have, ours and other libraries': the same results."""

import csv
import json
import shutil

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset

from camvid import IMAGES, MIOU, PIXEL_ACCURACY, TARGETS, model
from in_process import invoke
from pipeline import JobSpec, run
from pipeline.report.write_summary import dataset_content

pytestmark = pytest.mark.usefixtures("without_ray")

FORMS = ("folder", "packed-tars", "webdataset", "manifest", "packed-tables", "datasets")
# What a row says of its image; the other columns say where it came from.
COMPARED = (
    *("key", "status", "flags", "height", "width", "image_sha256"),
    *("mask", "class_pixels", "confidence", "confusion", "ignored_pixels"),
)


@pytest.fixture
def camvid(shared, tmp_path):
    """Return a function that copies the first images of CamVid `test`, with their targets."""

    def copy(count):
        names = sorted(path.name for path in (shared / IMAGES).iterdir())[:count]
        for source, folder in ((IMAGES, "images"), (TARGETS, "targets")):
            (tmp_path / folder).mkdir()
            for name in names:
                shutil.copy(shared / source / name, tmp_path / folder / name)
        return tmp_path, names

    return copy


def packed(root, name, kind, shard_bytes):
    """Pack with our own command; return the dataset that it says reads the shards."""
    done = invoke(
        "pack",
        root / "images",
        root / name,
        *("--targets", root / "targets/{stem}.png", "--format", kind),
        *("--shard-size", shard_bytes, "--json"),
    )
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["dataset"]


def written_by_webdataset(root, names, shard_images):
    (root / "webdataset").mkdir()
    pattern = str(root / "webdataset" / "camvid-%06d.tar")
    with webdataset.ShardWriter(pattern, maxcount=shard_images, verbose=0) as writer:
        for name in names:
            writer.write(
                {
                    "__key__": name.removesuffix(".png"),
                    "png": (root / "images" / name).read_bytes(),
                    "seg.png": (root / "targets" / name).read_bytes(),
                }
            )
    members = {"image": "png", "target": "seg.png"}
    return {"format": "webdataset", "images": f"{root}/webdataset/*.tar", "members": members}


def written_by_datasets(root, names):
    """Write images as bytes and targets by their paths: `datasets` leaves both as it got them."""
    columns = {
        "image": [{"bytes": (root / "images" / name).read_bytes(), "path": name} for name in names],
        "target": [str(root / "targets" / name) for name in names],
    }
    features = datasets.Features({name: datasets.Image() for name in columns})
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(str(root / "datasets.parquet"), batch_size=4)
    return {
        "format": "parquet",
        "images": f"{root}/datasets.parquet",
        "columns": {"image": "image", "target": "target"},
    }


def written_as_manifest(root, names):
    with (root / "list.csv").open("w", newline="") as file:
        rows = [[f"images/{name}", f"targets/{name}"] for name in names]
        csv.writer(file).writerows([["photograph", "labels"], *rows])
    columns = {"image": "photograph", "target": "labels"}
    return {"format": "manifest", "images": f"{root}/list.csv", "columns": columns}


def in_every_form(root, names, *, shard_images):
    """Write images and targets in every form; return the datasets that read them."""
    shard_bytes = shard_images * 240_000  # an image and its target
    return {
        "folder": {"images": f"{root}/images", "targets": f"{root}/targets/{{stem}}.png"},
        "packed-tars": packed(root, "packed-tars", "webdataset", shard_bytes),
        "webdataset": written_by_webdataset(root, names, shard_images),
        "manifest": written_as_manifest(root, names),
        "packed-tables": packed(root, "packed-tables", "parquet", shard_bytes),
        "datasets": written_by_datasets(root, names),
    }


def run_job(shared, root, forms, part_images):
    spec = {
        "name": "camvid-formats",
        "model": model(shared / "data/weights"),
        "inference": {"precision": "float32"},
        "datasets": [
            {"name": form, "classes": "camvid", **dataset} for form, dataset in forms.items()
        ],
        "output": str(root / "output"),
        "part_images": part_images,
        "resources": {"threads_per_actor": 2, "gpus_per_actor": 0},
    }
    return run(JobSpec.from_mapping(spec))


def rows_of(output, form):
    """Return a form's rows by their images' digests."""
    parts = sorted((output / f"masks/dataset={form}").glob("*.parquet"))
    rows = [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]
    by_digest = {row["image_sha256"]: row for row in rows}
    assert len(by_digest) == len(rows)
    return by_digest, len(parts)


def assert_the_same_in_every_form(report, root, names):
    assert report.exit_code == 0
    expected, _ = rows_of(root / "output", "folder")
    assert {row["key"] for row in expected.values()} == {n.removesuffix(".png") for n in names}
    for form in FORMS:
        rows, _ = rows_of(root / "output", form)
        assert set(rows) == set(expected), form
        for digest, row in rows.items():
            for column in COMPARED:
                assert row[column] == expected[digest][column], (form, row["key"], column)
    first, *others = [dataset_content(dataset) for dataset in report.datasets]
    assert first["images"]["scored"] == len(names)
    for other in others:
        for figure in ("miou", "pixel_accuracy", "confusion", "classes", "ignored_pixels"):
            assert other[figure] == first[figure], (other["name"], figure)


def test_three_images_give_the_same_masks_counts_and_scores_in_every_form(shared, camvid):
    root, names = camvid(3)
    forms = in_every_form(root, names, shard_images=2)

    report = run_job(shared, root, forms, part_images=1)

    assert_the_same_in_every_form(report, root, names)
    parts = {form: rows_of(root / "output", form)[1] for form in FORMS}
    assert min(parts.values()) >= 3
    assert report.datasets[0].scores.miou > 0.5  # by a trained network: the targets are theirs
    tars = {form: len(list((root / form).glob("*.tar"))) for form in ("packed-tars", "webdataset")}
    assert tars["packed-tars"] >= 2
    assert tars["webdataset"] == 2
    [first, *_] = pq.read_table(root / "datasets.parquet").to_pylist()
    assert first["image"] == {"bytes": (root / "images" / names[0]).read_bytes(), "path": names[0]}
    assert first["target"] == {"bytes": None, "path": str(root / "targets" / names[0])}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_of_camvid_gives_the_published_codes_figures_in_every_form(shared, camvid):
    root, names = camvid(233)
    forms = in_every_form(root, names, shard_images=64)

    report = run_job(shared, root, forms, part_images=32)

    assert_the_same_in_every_form(report, root, names)
    for dataset in report.datasets:
        assert dataset.ok == 233
        assert dataset.scores.miou == pytest.approx(MIOU, abs=0.0005)
        assert dataset.scores.pixel_accuracy == pytest.approx(PIXEL_ACCURACY, abs=0.0005)
