"""The commands about weights files and networks."""

import json

import pytest
import torch
from typer.testing import CliRunner

from jobs.cli import app
from refinenet_core import build_model, load_checkpoint, published_state_dict

MODEL = "refinenet_lw_mobilenet_v2"


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_published_file_converts_to_ours_bit_for_bit_with_what_a_job_needs(tmp_path):
    weights = published_state_dict(build_model(MODEL, num_classes=11))
    halves = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    torch.save({"state_dict": halves}, tmp_path / "published.pth.tar")

    before = invoke("checkpoint", "inspect", tmp_path / "published.pth.tar", "--json")
    done = invoke(
        *("checkpoint", "convert", tmp_path / "published.pth.tar", tmp_path / "ours.safetensors"),
        *("--classes", "camvid", "--miou", 0.61, "--scale", 0.5, "--scale", 1),
    )
    after = json.loads(
        invoke("checkpoint", "inspect", tmp_path / "ours.safetensors", "--json").stdout
    )

    assert (before.exit_code, done.exit_code) == (0, 0), before.stderr + done.stderr
    assert json.loads(before.stdout)["model"] == after["model"] == MODEL
    assert (after["ours"], after["dtype"], after["num_classes"]) == (True, "float16", 11)
    assert (after["classes"][0], after["ignore_index"]) == ("sky", 11)
    assert (after["miou"], after["scales"]) == (0.61, [0.5, 1.0])
    model = build_model(MODEL, num_classes=11)
    load_checkpoint(model, tmp_path / "ours.safetensors")
    back = published_state_dict(model)
    assert all(
        torch.equal(back[name], tensor.to(back[name].dtype)) for name, tensor in halves.items()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "voc"], "21 classes given, the model has 4"),
        (["--classes", "kittens"], "unknown label set 'kittens'"),
        (["--model", "refinenet51"], "unknown model 'refinenet51'"),
        (["--model", "refinenet50"], "does not fit model refinenet50"),
    ],
)
def test_wrong_facts_are_refused_and_nothing_is_written(checkpoint, tmp_path, options, message):
    done = invoke("checkpoint", "convert", checkpoint, tmp_path / "ours.safetensors", *options)

    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_weights_file_of_a_known_model_is_told(tmp_path):
    (tmp_path / "page.pth").write_text("<html>")
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "classifier.pth")

    page = invoke("checkpoint", "inspect", tmp_path / "page.pth")
    classifier = invoke("checkpoint", "convert", tmp_path / "classifier.pth", tmp_path / "o")

    assert page.exit_code == classifier.exit_code == 2
    assert "is not a PyTorch weights file" in page.stderr
    assert "looks like an ImageNet classifier" in classifier.stderr


@pytest.mark.s3
@pytest.mark.usefixtures("s3")
def test_a_file_in_a_bucket_is_inspected_as_well(s3, checkpoint):
    s3.upload(checkpoint.parent, "shards/inspect", [checkpoint.name])

    done = invoke("checkpoint", "inspect", f"s3://shards/inspect/{checkpoint.name}", "--json")

    assert json.loads(done.stdout)["num_classes"] == 4
