"""Weights files become ours: with what is known of them, and the weights as they were."""

import pytest
import torch

from jobs.commands.convert_checkpoint import Facts, convert, inspect_location
from pipeline.errors import SpecError
from refinenet_core import CheckpointError
from tiny_job import MODEL, save_own_checkpoint


def test_a_file_is_inspected_by_path_or_url(checkpoint):
    by_path, by_url = inspect_location(str(checkpoint)), inspect_location(checkpoint.as_uri())

    assert by_path == by_url
    assert (by_path.model, by_path.num_classes, by_path.ours) == (MODEL, 4, False)


def test_what_a_file_of_ours_says_stays_unless_it_is_told_anew(tmp_path):
    before = inspect_location(str(save_own_checkpoint(tmp_path / "own.safetensors")))

    after = convert(before.source, tmp_path / "again.safetensors", Facts(miou=0.5, scales=(0.5,)))

    assert (after.classes, after.colours, after.ignore_index) == (
        before.classes,
        before.colours,
        before.ignore_index,
    )
    assert (after.miou, after.scales) == (0.5, (0.5,))


def test_a_published_mean_of_nothing_is_no_missing_one(checkpoint, tmp_path):
    assert convert(str(checkpoint), tmp_path / "ours.safetensors", Facts(miou=0.0)).miou == 0


def test_weights_of_no_known_model_and_facts_of_no_label_set_are_refused(checkpoint, tmp_path):
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "classifier.pth")

    with pytest.raises(CheckpointError, match="is for no model that is known"):
        convert(str(tmp_path / "classifier.pth"), tmp_path / "ours", Facts())
    with pytest.raises(SpecError, match="unknown label set 'kittens'"):
        convert(str(checkpoint), tmp_path / "ours", Facts(classes="kittens"))
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: cannot be read"):
        inspect_location(str(tmp_path / "nowhere.pth"))
    assert not (tmp_path / "ours").exists()
