"""Which of a data set's listings would show the files of an output folder."""

import pytest

from pipeline.datasets.listed_locations import listing_field, target_folder
from pipeline.output.output_names import output_files
from pipeline.spec.dataset_spec import DatasetSpec


def field(output, images, **fields):
    dataset = DatasetSpec(name="d", images=images, **fields)
    return listing_field(dataset, output, output_files(["d"]))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"images": "s3://b/i"}, "images"),  # a folder above it
        ({"images": "s3://b/i/out"}, "images"),
        ({"images": "s3://b/i/**"}, "images"),
        ({"images": "s3://b/i/**/*.png"}, None),  # no job writes such files
        ({"images": "s3://b/i/o"}, None),  # begins alike
        ({"images": "s3://other/i"}, None),
        ({"images": "s3://b/x", "targets": "s3://b/i/{relpath}.png"}, "targets"),
        ({"images": "s3://b/x", "targets": "s3://b/t/{stem}.png"}, None),
        ({"images": "s3://b/i/**/*.parquet", "format": "parquet"}, "images"),
        ({"images": "s3://b/i/out/summary.parquet", "format": "parquet"}, "images"),
        ({"images": "s3://b/i/*.parquet", "format": "parquet"}, None),
    ],
)
def test_an_output_within_what_is_listed_is_found(fields, expected):
    assert field("s3://b/i/out", **fields) == expected


def test_a_link_to_a_folder_above_the_output_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert field(f"file://{tmp_path}/real/out", f"{tmp_path}/link") == "images"
    assert field(f"file://{tmp_path}/out", f"{tmp_path}/link") is None


def test_all_targets_lie_below_what_stands_before_the_first_placeholder():
    assert target_folder("s3://b/t/{stem}.png") == "s3://b/t"
    assert target_folder("s3://b/t/of-{relpath}/{stem}.png") == "s3://b/t"
