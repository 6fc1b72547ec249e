"""The export of masks: whatever the format, the same pixels, and no file outside the target."""

import io
import json
import shutil
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from pipeline import export, run
from pipeline.datasets.webdataset import read_samples
from pipeline.errors import OutputError, SpecError
from pipeline.export.formats import blend
from pipeline.output.mask_png import encode_mask
from pipeline.spec.dataset_spec import MembersSpec
from refinenet_core.labels.palettes import png_palette, voc_colours
from tars import make_tar
from tiny_job import CLASSES, TinyJob, decode_mask

KEYS = [
    "../../escaped",
    "/etc/absolute",
    "back\\..\\slash",
    "nul\0l",
    "图" * 120,
    "twice",
    "twice",
    "Twice",
    "clip.png/frame",
    "clip",
    "a.b",
    "",
]
NAMES = {
    "../../escaped": "escaped.png",
    "/etc/absolute": "etc/absolute.png",
    "back\\..\\slash": "back_.._slash.png",
    "nul\0l": "nul_l.png",
    "图" * 120: "图" * 60 + ".png",
    "clip.png/frame": "clip.png_/frame.png",
    "clip": "clip.png",
    "a.b": "a.b.png",
    "": "image.png",
}
FILE_FORMATS = ["labels", "palette", "overlay"]


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run: a folder with a broken image, a tar, and a table of odious keys."""
    job = TinyJob.make(tmp_path_factory.mktemp("exported"), checkpoint)
    pictures = [path.read_bytes() for path in sorted((job.root / "images").iterdir())]
    (job.root / "images/picture-01.png").write_bytes(b"not an image")
    members = [(f"in/{number:02d}.png", data) for number, data in enumerate(pictures)]
    (job.root / "shard.tar").write_bytes(make_tar(members))
    pq.write_table(pa.table({"image": pictures, "key": KEYS}), job.root / "table.parquet")
    columns = {"image": "image", "key": "key"}
    job.spec["datasets"] += [
        {
            "name": "tars",
            "format": "webdataset",
            "images": str(job.root / "shard.tar"),
            "classes": CLASSES,
        },
        {
            "name": "tables",
            "format": "parquet",
            "images": str(job.root / "table.parquet"),
            "columns": columns,
            "classes": [
                {"name": name, "colour": [50 * number, 255, number]}
                for number, name in enumerate(CLASSES)
            ],
        },
    ]
    job.spec["tolerance"] = {"failed_images": 1}
    assert run(job.validated()).complete
    return job


@pytest.fixture
def job(finished, tmp_path):
    """A copy of the job that a test may change; its spec names the original's inputs."""
    shutil.copytree(finished.output, tmp_path / "copy")
    return TinyJob(tmp_path, {**finished.spec, "output": str(tmp_path / "copy")})


def masks(output, dataset):
    """Return the label map of every row that has a mask, with the row."""
    rows = read_rows_of(output, dataset)
    return [(row, decode_mask(row["mask"])) for row in rows if row["mask"] is not None]


def read_rows_of(output, dataset):
    files = sorted(Path(output).glob(f"masks/dataset={dataset}/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


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
    _change_rows(job, "pictures", lambda row: row.update(uri=f"file://{images}/{row['key']}.png"))
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


# pycocotools has not followed numpy 2 yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_coco_opens_in_pycocotools_and_decodes_to_the_same_pixels(finished, tmp_path, capsys):
    report = export(str(finished.output), str(tmp_path), export_format="coco")

    assert files_below(tmp_path) == {
        "pictures.json",
        "tars.json",
        "tables.json",
        "export.json",
    }
    for dataset in ("pictures", "tars", "tables"):
        found = COCO(tmp_path / f"{dataset}.json")
        expected = masks(finished.output, dataset)
        images = {image["index"]: image for image in found.dataset["images"]}
        assert len(images) == len(found.imgs) == len(expected)
        assert len(found.anns) == len(found.dataset["annotations"])
        for row, labels in expected:
            image = images[row["index"]]
            assert (image["key"], image["uri"]) == (row["key"], row["uri"])
            assert (image["height"], image["width"]) == labels.shape
            annotations = found.imgToAnns[image["id"]]
            assert [each["category_id"] for each in annotations] == np.unique(labels).tolist()
            for each in annotations:
                ours = labels == each["category_id"]
                np.testing.assert_array_equal(found.annToMask(each), ours)
                assert each["area"] == ours.sum()
                assert each["bbox"] == coco.toBbox(found.annToRLE(each)).tolist()
    assert [each["name"] for each in found.dataset["categories"]] == CLASSES
    assert {i["file_name"] for i in COCO(tmp_path / "tars.json").imgs.values()} == {
        f"in/{number:02d}.png" for number in range(12)
    }
    assert report.datasets[0].without_mask == {"undecodable": 1}
    assert "index created" in capsys.readouterr().out  # what pycocotools prints


def test_geojson_covers_each_class_exactly(finished, tmp_path):
    export(str(finished.output), str(tmp_path), export_format="geojson", datasets=["pictures"])

    found = json.loads((tmp_path / "pictures.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    features = {}
    for feature in found["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "MultiPolygon"
        place = feature["properties"]["index"], feature["properties"]["category_id"]
        features[place] = feature
    assert len(features) == len(found["features"])
    holes = 0
    for row, labels in masks(finished.output, "pictures"):
        for class_id in np.unique(labels):
            feature = features.pop((row["index"], class_id))
            polygons = feature["geometry"]["coordinates"]
            rings = [ring for polygon in polygons for ring in polygon]
            holes += len(rings) - len(polygons)
            np.testing.assert_array_equal(_filled(rings, labels.shape), labels == class_id)
            assert feature["properties"]["area"] == (labels == class_id).sum()
            assert feature["properties"]["category"] == CLASSES[class_id]
    assert features == {}
    assert holes > 0


def _filled(rings, shape):
    """Rasterise by the even-odd rule: a point is inside if an odd number of edges is left of it."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossings = np.zeros(shape, dtype=int)
    for ring in rings:
        for (x0, y0), (_, y1) in pairwise(ring):
            crossings += (min(y0, y1) < y) & (y < max(y0, y1)) & (x0 < x)
    return crossings % 2 == 1


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

    _change_rows(job, "tars", fail)

    report = export(
        str(job.output), str(tmp_path / "out"), export_format="webdataset", datasets=["tars"]
    )

    assert report.datasets[0].without_mask == {"undecodable": 12}
    assert files_below(tmp_path / "out") == {"export.json"}


@pytest.mark.parametrize("export_format", FILE_FORMATS)
def test_no_key_leads_out_of_the_folder_and_no_two_to_one_file(finished, tmp_path, export_format):
    folder = tmp_path / "deep" / "out"

    report = export(
        str(finished.output), str(folder), export_format=export_format, datasets=["tables"]
    )

    written = files_below(tmp_path)
    assert all(name.startswith("deep/out/") for name in written)
    files = {name.removeprefix("deep/out/tables/") for name in written}
    assert set(NAMES.values()) < files
    twice = {name for name in files if name.lower().startswith("twice-")}
    assert len(files) == len(KEYS) + 1
    assert len(twice) == 3
    [tables] = report.datasets
    assert (tables.masks, tables.renamed, tables.repeated) == (12, 7, 3)
    assert tables.examples[0] == ("../../escaped", "escaped.png")
    assert len(tables.examples) == 5


def test_files_with_a_suffix_hold_the_right_masks(finished, tmp_path):
    """Threads are done in any order; which row a file is of follows from shard and index."""
    export(str(finished.output), str(tmp_path), export_format="palette", datasets=["tables"])

    expected = [
        row["mask"] for row, _ in masks(finished.output, "tables") if row["index"] in (5, 6)
    ]
    found = [path.read_bytes() for path in (tmp_path / "tables").glob("twice-*.png")]
    assert sorted(found) == sorted(expected)


@pytest.mark.s3
def test_from_a_bucket_into_a_bucket_nothing_leaves_the_prefix(finished, s3, tmp_path):
    fs = s3.filesystem()
    for path in finished.output.rglob("*"):
        if path.is_file():
            name = f"results/exported/{path.relative_to(finished.output)}"
            fs.pipe_file(name, path.read_bytes())
    before = set(fs.find("results"))

    for export_format in ("palette", "coco", "webdataset"):
        target = f"s3://results/out/{export_format}"
        report = export("s3://results/exported", target, export_format=export_format)
        assert report.exit_code == 0

    with pytest.raises(OutputError, match="lies in the output folder"):
        export("s3://results/exported", "s3a://results/exported/masks", export_format="coco")
    new = set(fs.find("results")) - before
    assert all(name.startswith("results/out/") for name in new)
    for row, _ in masks(finished.output, "tables"):
        if row["key"] in NAMES:
            name = f"results/out/palette/tables/{NAMES[row['key']]}"
            assert fs.cat_file(name) == row["mask"]
    export(str(finished.output), str(tmp_path), export_format="coco")
    assert fs.cat_file("results/out/coco/tables.json") == (tmp_path / "tables.json").read_bytes()


@pytest.mark.parametrize("export_format", [*FILE_FORMATS, "coco", "geojson", "webdataset"])
def test_the_same_command_again_mends_what_is_damaged_and_adds_nothing(
    finished, tmp_path, export_format
):
    export(str(finished.output), str(tmp_path), export_format=export_format)
    first = {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)}
    for name in sorted(first)[1::2]:
        if name != "export.json":
            (tmp_path / name).write_bytes(b"damaged")

    export(str(finished.output), str(tmp_path), export_format=export_format)

    assert {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)} == first


def test_a_part_that_is_not_there_is_counted_and_the_others_are_exported(job, tmp_path):
    next(job.output.glob("masks/dataset=pictures/*-000001.parquet")).unlink()

    report = export(
        str(job.output), str(tmp_path / "out"), export_format="labels", datasets=["pictures"]
    )

    assert (report.datasets[0].masks, report.datasets[0].missing_parts) == (6, 1)
    assert report.exit_code == 3


def test_another_format_or_another_job_is_refused_in_the_same_folder(job, finished, tmp_path):
    """Formats share file names: one export would be half overwritten by another."""
    target = str(tmp_path / "out")
    export(str(finished.output), target, export_format="labels")

    with pytest.raises(OutputError, match="holds the export of another job, or in another format"):
        export(str(finished.output), target, export_format="palette")
    content = json.loads((job.output / "job.json").read_text())
    content["fingerprint"]["scales"] = [0.5]
    (job.output / "job.json").write_text(json.dumps(content))
    with pytest.raises(OutputError, match="holds the export of another job"):
        export(str(job.output), target, export_format="labels")
    (tmp_path / "out/export.json").write_text("[]")
    with pytest.raises(OutputError, match=r"is no export\.json"):
        export(str(finished.output), target, export_format="labels")


@pytest.mark.parametrize("below", ["", "masks", "export/deep"])
def test_a_target_in_the_output_folder_is_refused(job, tmp_path, below):
    """A dataset called `plan` would be written over the job's plans."""
    (tmp_path / "link").symlink_to(job.output)
    before = files_below(job.output)

    for folder in (job.output, tmp_path / "link", job.output / ".." / job.output.name):
        with pytest.raises(OutputError, match="lies in the output folder"):
            export(str(job.output), str(folder / below), export_format="labels")

    assert files_below(job.output) == before


def test_a_damaged_part_ends_the_export_with_the_way_to_mend_it(job, tmp_path):
    path = min(job.output.glob("masks/dataset=pictures/*.parquet"))
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    [column] = [
        c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "mask"
    ]
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(OutputError, match=r"is damaged.*`refinenet-batch verify`") as caught:
        export(str(job.output), str(tmp_path / "out"), export_format="coco")

    assert caught.value.uri == str(path)
    assert files_below(tmp_path / "out") == {"export.json"}


def test_a_mask_that_is_no_picture_ends_the_export(job, tmp_path):
    _change_rows(job, "tars", lambda row: row.update(mask=b"no picture"))

    with pytest.raises(OutputError, match="the mask in row 0"):
        export(str(job.output), str(tmp_path / "out"), export_format="labels", datasets=["tars"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"export_format": "gif"}, "format is 'gif'; choose one of labels, palette"),
        (
            {"export_format": "coco", "datasets": ["picture"]},
            "no dataset 'picture' in this output; it has pictures, tars, tables",
        ),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_written(
    finished, tmp_path, arguments, message
):
    with pytest.raises(SpecError, match=message):
        export(str(finished.output), str(tmp_path / "out"), **arguments)

    assert not (tmp_path / "out").exists()


def test_masks_that_were_scored_have_no_picture_to_be_laid_over(job, tmp_path):
    content = json.loads((job.output / "job.json").read_text())
    spec = content["spec"]
    [spec["datasets"][0]["predictions"], spec["model"], spec["inference"]] = [{}, None, {}]
    del spec["datasets"][1:]
    (job.output / "job.json").write_text(json.dumps(content))

    with pytest.raises(SpecError, match="the images of dataset 'pictures' are masks"):
        export(str(job.output), str(tmp_path / "out"), export_format="overlay")

    assert export(str(job.output), str(tmp_path / "out"), export_format="labels").exit_code == 0


def test_a_dataset_without_a_plan_is_refused_before_anything_is_written(job, tmp_path):
    (job.output / "plan/tars.parquet").unlink()

    with pytest.raises(OutputError, match=r"tars\.parquet: is missing; run the job"):
        export(str(job.output), str(tmp_path / "out"), export_format="coco")

    assert not (tmp_path / "out").exists()


def test_pixels_of_no_class_get_no_annotation(job, tmp_path):
    """Outside the square that the protocol `fixed` looks at a mask is 255."""
    labels = np.full((40, 56), 255, dtype=np.uint8)
    labels[10:20, 10:30] = 2
    mask = encode_mask(labels, png_palette(voc_colours(4)))

    def crop(row):
        row.update(mask=mask, height=40, width=56)

    _change_rows(job, "tars", crop)
    for export_format, suffix, items in (
        ("coco", "json", "annotations"),
        ("geojson", "geojson", "features"),
    ):
        target = tmp_path / export_format
        export(str(job.output), str(target), export_format=export_format, datasets=["tars"])
        found = json.loads((target / f"tars.{suffix}").read_text())[items]
        assert len(found) == 12
        assert {each.get("area", each.get("properties", {}).get("area")) for each in found} == {200}


def _change_rows(job, dataset, change):
    """Write the part files of a dataset anew, each row with a mask changed."""
    for path in job.output.glob(f"masks/dataset={dataset}/*.parquet"):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        for row in rows:
            if row["mask"] is not None:
                change(row)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
