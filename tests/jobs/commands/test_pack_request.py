"""What is asked of `pack`: where the images are, and the lines of a spec that read the shards."""

import pytest
import yaml

from jobs.commands.pack_request import PackRequest, run_pack, spec_lines
from pipeline.datasets.pack import PackReport
from pipeline.errors import SpecError


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.parquet"])
def test_a_manifest_is_read_by_its_columns(tmp_path, name):
    request = PackRequest(
        images=f"{tmp_path}/{name}", out=str(tmp_path), image_column="i", target_column="t"
    )

    dataset = request.dataset()

    assert dataset.format == "manifest"
    assert (dataset.columns.image, dataset.columns.target, dataset.columns.key) == ("i", "t", None)


def test_anything_else_is_a_folder_whose_targets_follow_a_pattern(tmp_path):
    request = PackRequest(images=str(tmp_path), out=str(tmp_path), targets="t/{stem}.png")

    dataset = request.dataset()

    assert (dataset.format, dataset.columns) == ("folder", None)
    assert dataset.targets.endswith("t/{stem}.png")


def test_a_size_is_told_as_people_write_it(tmp_path):
    request = PackRequest(images=str(tmp_path), out=str(tmp_path), shard_size="2MiB")

    assert request.shard_size == 2 << 20


def test_what_is_typed_wrong_is_named(tmp_path):
    with pytest.raises(SpecError, match="shard_size"):
        run_pack({"images": str(tmp_path), "out": str(tmp_path), "shard_size": "large"}, print)


def test_the_lines_are_a_dataset_of_a_spec():
    report = PackReport([], [], {"format": "parquet", "images": "/out/*.parquet"})

    assert yaml.safe_load(spec_lines(report)) == {
        "datasets": [{"name": "packed", "format": "parquet", "images": "/out/*.parquet"}]
    }
