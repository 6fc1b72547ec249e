"""Manifests: images by URI in CSV, JSON lines and Parquet, with what is there and what is not."""

import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.manifest import list_images
from pipeline.errors import PlanError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage

NAMES = ["b/two, and more.png", "a/one.png", 'c/"three" ü.png']


@pytest.fixture
def files(tmp_path):
    for number, name in enumerate(NAMES):
        for folder in ("i", "t"):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * (number + 1))
    return tmp_path


def write(path, rows):
    """Write rows as the kind of manifest that the path's name says."""
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        pq.write_table(table, path)


def dataset(images, **columns):
    fields = {key: columns.pop(key) for key in ("targets_missing",) if key in columns}
    return DatasetSpec(name="d", format="manifest", images=str(images), columns=columns, **fields)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_kind_of_manifest_gives_images_in_byte_order_with_size_and_target(files, kind):
    rows = [{"file": f"i/{name}", "label": str(files / "t" / name)} for name in NAMES]
    write(files / f"list.{kind}", rows)

    listed = list_images(dataset(files / f"list.{kind}", image="file", target="label"), Storage())

    base = f"file://{files}"
    order = sorted(NAMES)
    assert listed["uri"].to_pylist() == [f"{base}/i/{name}" for name in order]
    assert listed["target_uri"].to_pylist() == [f"{base}/t/{name}" for name in order]
    assert listed["size_bytes"].to_pylist() == [NAMES.index(name) + 1 for name in order]
    assert listed["target_size_bytes"].to_pylist() == listed["size_bytes"].to_pylist()
    assert listed["key"].to_pylist() == ["a/one", "b/two, and more", 'c/"three" ü']
    assert None not in listed["stamp"].to_pylist()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_keys_may_have_a_column_and_may_look_like_numbers(files, kind):
    write(files / f"list.{kind}", [{"image": f"i/{name}", "id": "007"} for name in NAMES])

    listed = list_images(dataset(files / f"list.{kind}", key="id"), Storage())

    assert listed["key"].to_pylist() == ["007"] * 3
    assert listed["target_uri"].null_count == 3


def test_an_image_that_is_not_there_is_planned_without_a_stamp(files):
    write(files / "list.csv", [{"image": "i/a/one.png"}, {"image": "i/nowhere.png"}])

    listed = list_images(dataset(files / "list.csv"), Storage())

    assert listed["stamp"].is_null().to_pylist() == [False, True]


def test_many_images_of_one_folder_are_looked_up_by_listing_it(files):
    rows = [{"image": f"many/{n}.png"} for n in range(120)]
    (files / "many").mkdir()
    for row in rows[:100]:
        (files / row["image"]).write_bytes(b"abc")
    write(files / "list.csv", rows)

    listed = list_images(dataset(files / "list.csv"), Storage())

    assert listed["size_bytes"].to_pylist().count(3) == 100
    assert listed["size_bytes"].null_count == 20


def test_several_manifests_are_one_dataset(files):
    write(files / "list-0.csv", [{"image": "i/a/one.png"}])
    write(files / "list-1.csv", [{"image": f"i/{NAMES[0]}"}])

    listed = list_images(dataset(files / "list-{0..1}.csv"), Storage())

    assert listed["key"].to_pylist() == ["a/one", "b/two, and more"]


def test_targets_missing_are_an_error_unless_they_shall_be_rows(files):
    rows = [{"image": f"i/{NAMES[0]}", "label": None}, {"image": "i/a/one.png", "label": "t/no"}]
    write(files / "list.parquet", rows)
    asked = {"images": files / "list.parquet", "target": "label"}

    with pytest.raises(PlanError, match=r"1 of 2 images have no target.*two, and more"):
        list_images(dataset(**asked), Storage())
    listed = list_images(dataset(**asked, targets_missing="row"), Storage())

    assert listed["target_uri"].is_null().to_pylist() == [False, True]
    assert listed["target_stamp"].null_count == 2


def test_targets_that_are_named_but_not_there_are_an_error(files):
    write(files / "list.csv", [{"image": "i/a/one.png", "label": "t/no"}])

    with pytest.raises(PlanError, match=r"1 targets are not there, the first is .*t/no"):
        list_images(dataset(files / "list.csv", target="label"), Storage())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "file\na.png\n", r"has no column 'image'; it has: file\. Say in `columns`"),
        ("list.csv", "image,n\na.png,1\n,2\n", r"row 1 \(from 0\) names no image"),
        ("list.csv", "image\na.png,b\n", "cannot be read as a manifest"),
        ("list.jsonl", "{", "cannot be read as a manifest"),
        ("list.parquet", "PAR1", "cannot be read as a manifest"),
        ("list.txt", "a.png", r"its name ends in 'txt'.*\.csv, \.jsonl or \.parquet"),
    ],
)
def test_a_manifest_that_is_wrong_is_named_with_the_remedy(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)

    with pytest.raises(PlanError, match=message):
        list_images(dataset(tmp_path / name), Storage())


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PlanError, match=r"1 of the files named are not there.*nowhere\.csv"):
        list_images(dataset(tmp_path / "nowhere.csv"), Storage())


CHAINED = [
    "reference::http://host/a.json",
    "reference://a.png",
    "simplecache::file:///etc/hostname",
    "zip://a.png::http://host/a.zip",
    "github://owner:repo@main/a.png",
    "memory://a.png",
    "a::b.png",
]


@pytest.mark.parametrize("column", ["image", "target"])
@pytest.mark.parametrize("location", CHAINED)
def test_a_location_that_leads_to_other_storages_is_refused_by_name(files, location, column):
    """A row of a manifest once ran the code in a reference file's template."""
    write(files / "list.csv", [{"image": "i/a/one.png", "target": "t/a/one.png", column: location}])

    with pytest.raises(PlanError) as error:
        list_images(dataset(files / "list.csv", target="target"), Storage())

    assert f"list.csv: row 0 (from 0) names '{location}'" in shown_whole(error, location, files)
    assert "which is not followed" in str(error.value)


def shown_whole(error, location, files):
    """Return an error's text, with a location relative to the manifest as the manifest has it."""
    return str(error.value).replace(f"file://{files}/{location}", location)
