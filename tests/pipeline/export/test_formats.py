"""The formats of an export: each holds the masks' own pixels."""

import io
import shutil
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from exported_job import KEYS, change_rows, files_below, masks
from pipeline import export
from pipeline.datasets.webdataset import read_samples
from pipeline.export.formats import blend
from pipeline.spec.dataset_spec import MembersSpec


def test_grey_pictures_hold_the_class_ids(finished, tmp_path):
    report = export(str(finished.output), str(tmp_path), export_format="labels")

    expected = masks(finished.output, "pictures")
    assert len(expected) == 11
    for row, labels in expected:
        with Image.open(tmp_path / "pictures" / f"{row['key']}.png") as picture:
            assert picture.mode == "L"
            np.testing.assert_array_equal(np.asarray(picture), labels)
    assert len(files_below(tmp_path / "pictures")) == 11
    [pictures, tars, tables] = report.datasets
    assert (pictures.masks, pictures.without_mask) == (11, {"undecodable": 1})
    assert (tars.masks, tables.masks) == (12, 12)
    assert report.exit_code == 0


def test_palette_pictures_are_the_tables_own(finished, tmp_path):
    export(str(finished.output), str(tmp_path), export_format="palette", datasets=["tars"])

    expected = {f"tars/{row['key']}.png": row["mask"] for row, _ in masks(finished.output, "tars")}
    assert files_below(tmp_path) == {*expected, "export.json"}
    assert {name: (tmp_path / name).read_bytes() for name in expected} == expected


@pytest.mark.parametrize("dataset", ["pictures", "tars", "tables"])
def test_overlays_are_the_images_half_in_colours_wherever_images_come_from(
    finished, tmp_path, dataset
):
    report = export(
        str(finished.output), str(tmp_path), export_format="overlay", datasets=[dataset]
    )

    expected = masks(finished.output, dataset)
    colours = finished.validated().datasets[["pictures", "tars", "tables"].index(dataset)]
    table = np.array(colours.label_set().colours)
    images = dict(_images(finished, dataset))
    drawn = []
    for path in sorted((tmp_path / dataset).rglob("*.png")):
        with Image.open(path) as picture:
            drawn.append(np.asarray(picture))
    assert len(drawn) == len(expected) == report.datasets[0].masks
    for row, labels in expected:
        mean = (images[row["index"]].astype(float) + table[labels]) / 2
        assert any(each.shape == mean.shape and np.abs(each - mean).max() <= 1 for each in drawn)


def _images(job, dataset):
    """Yield the images of a dataset by index."""
    if dataset == "pictures":
        paths = enumerate(sorted((job.root / "images").iterdir()))
        contents = ((index, path.read_bytes()) for index, path in paths if index != 1)
    else:
        contents = enumerate(pq.read_table(job.root / "table.parquet")["image"].to_pylist())
    for index, content in contents:
        yield index, np.asarray(Image.open(io.BytesIO(content)))


def test_a_pixel_of_no_class_keeps_the_image():
    image = np.full((1, 2, 3), 101, dtype=np.uint8)
    labels = np.array([[1, 255]], dtype=np.uint8)

    overlay = blend(image, labels, ((0, 0, 0), (255, 0, 11)))

    assert overlay.tolist() == [[[177, 50, 55], [101, 101, 101]]]


def test_an_image_that_is_gone_or_another_is_left_out_and_said(job, tmp_path, finished):
    """It would be drawn under labels that are not its own."""
    images = shutil.copytree(finished.root / "images", tmp_path / "images")
    change_rows(job, "pictures", lambda row: row.update(uri=f"file://{images}/{row['key']}.png"))
    (images / "picture-00.png").unlink()
    shutil.copyfile(images / "picture-03.png", images / "picture-06.png")

    report = export(
        str(job.output), str(tmp_path / "out"), export_format="overlay", datasets=["pictures"]
    )

    [exported] = report.datasets
    assert (exported.masks, exported.without_image) == (9, 2)
    assert report.exit_code == 3
    missing = {f"pictures/picture-{number:02d}.png" for number in (0, 6)}
    assert not missing & files_below(tmp_path / "out")


def test_tars_hold_the_tables_own_pictures_under_the_keys_one_tar_a_shard(finished, tmp_path):
    export(str(finished.output), str(tmp_path), export_format="webdataset")

    for dataset in ("pictures", "tars", "tables"):
        [path] = (tmp_path / dataset).glob("*.tar")
        samples = read_samples(io.BytesIO(path.read_bytes()), path.name, MembersSpec())
        rows = [(row["key"], row["mask"]) for row, _ in masks(finished.output, dataset)]
        assert [(sample.key, sample.image) for sample in samples] == rows
    with tarfile.open(path) as archive:  # of odious keys
        names = archive.getnames()
        archive.extractall(tmp_path / "unpacked", filter="data")  # which refuses what leaves it
    assert len(set(names)) == len(names) == len(KEYS)
    others = webdataset.WebDataset(str(next((tmp_path / "tars").glob("*.tar"))), shardshuffle=False)
    assert [sample["__key__"] for sample in others] == [f"in/{n:02d}" for n in range(12)]


def test_a_shard_without_masks_gives_no_tar(job, tmp_path):
    def fail(row):
        row.update(mask=None, status="undecodable")

    change_rows(job, "tars", fail)

    report = export(
        str(job.output), str(tmp_path / "out"), export_format="webdataset", datasets=["tars"]
    )

    assert report.datasets[0].without_mask == {"undecodable": 12}
    assert files_below(tmp_path / "out") == {"export.json"}
