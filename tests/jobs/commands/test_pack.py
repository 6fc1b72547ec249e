"""The command `pack`: single images become shards that a job reads."""

import json

import pytest
import yaml
from PIL import Image

from in_process import invoke


@pytest.fixture
def images(tmp_path):
    (tmp_path / "i").mkdir()
    for number in range(4):
        Image.new("L", (4, 4), number).save(tmp_path / "i" / f"{number}.png")
    return tmp_path / "i"


def test_it_says_what_was_packed_and_prints_the_lines_that_read_it(images, tmp_path):
    done = invoke("pack", images, tmp_path / "out")

    assert done.exit_code == 0, done.stderr
    said, lines = done.stdout.split("\n\n", 1)
    assert said == "4 images are in 1 shards, which a job reads with:"
    [dataset] = yaml.safe_load(lines)["datasets"]
    assert dataset["format"] == "webdataset"
    [tar] = (tmp_path / "out").glob("*.tar")
    assert f"{tar.name}: 4 images" in done.stderr


def test_packed_again_the_shards_are_there_already(images, tmp_path):
    invoke("pack", images, tmp_path / "out", "--format", "parquet")

    again = invoke("pack", images, tmp_path / "out", "--format", "parquet", "--json")

    assert again.exit_code == 0, again.stderr
    [shard] = json.loads(again.stdout)["shards"]
    assert (shard["images"], shard["written"]) == (4, False)
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "zip"], "format"),
        (["--shard-size", "0"], "shard_size"),
        (["--targets-missing", "skip"], "targets_missing"),
    ],
)
def test_a_wrong_option_ends_with_exit_code_2_and_writes_nothing(images, tmp_path, options, words):
    done = invoke("pack", images, tmp_path / "out", *options)

    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("error: ") == 1
    assert not (tmp_path / "out").exists()
