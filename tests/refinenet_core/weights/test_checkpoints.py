"""Checkpoints: loaded to the last parameter, or refused with the reason."""

import pytest
import safetensors.torch
import torch

from refinenet_core import (
    CheckpointError,
    build_model,
    inspect_checkpoint,
    load_checkpoint,
    published_state_dict,
    save_checkpoint,
)
from weights import MODEL, file_of


@pytest.mark.parametrize(
    "name", [MODEL, "refinenet_multitask_mobilenet_v2", "refinenet50", "refinenet_lw50"]
)
def test_published_to_ours_to_published_is_bit_for_bit_the_same(tmp_path, name):
    published = published_state_dict(build_model(name, num_classes=4))
    first, second = build_model(name, num_classes=4), build_model(name, num_classes=4)

    load_checkpoint(first, file_of(published))
    save_checkpoint(first, tmp_path / "ours.safetensors")
    load_checkpoint(second, tmp_path / "ours.safetensors")

    back = published_state_dict(second)
    assert back.keys() == published.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in published.items())


def test_a_file_of_ours_says_all_that_a_job_needs(tmp_path):
    model = build_model(MODEL, num_classes=2, poolings=2, improved_pooling=True)
    facts = {
        "classes": ("sky", "<road>"),
        "colours": ((1, 2, 3), (4, 5, 6)),
        "ignore_index": 11,
        "scales": (0.5, 1.0),
        "miou": 0.625,
    }

    save_checkpoint(model, tmp_path / "ours.safetensors", **facts)

    for file in (tmp_path / "ours.safetensors", (tmp_path / "ours.safetensors").read_bytes()):
        info = inspect_checkpoint(file)
        assert info.ours
        assert (info.model, info.num_classes) == (MODEL, 2)
        assert (info.poolings, info.improved_pooling) == (2, True)
        assert {name: getattr(info, name) for name in facts} == facts
    with pytest.raises(CheckpointError, match=r"poolings 2, improved_pooling True.*, not .*4"):
        load_checkpoint(build_model(MODEL, num_classes=2), tmp_path / "ours.safetensors")
    with pytest.raises(ValueError, match="3 classes given, the model has 2"):
        save_checkpoint(model, tmp_path / "wrong", classes=["a", "b", "c"])


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_model_on_meta_takes_the_files_tensors_memory_mapped(weights, tmp_path, kind):
    path = tmp_path / f"weights.{kind}"
    (torch.save if kind == "pth" else safetensors.torch.save_file)(weights, path)
    model = build_model(MODEL, num_classes=4, device="meta")

    load_checkpoint(model, path)

    loaded = published_state_dict(model)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    assert not any(tensor.is_meta for tensor in loaded.values())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_files_without_the_counters_of_later_pytorch_load(weights):
    old = {name: t for name, t in weights.items() if not name.endswith("num_batches_tracked")}

    for device in (None, "meta"):
        model = build_model(MODEL, num_classes=4, device=device)
        load_checkpoint(model, file_of(old))
        assert torch.equal(model.head.weight, weights["segm.weight"])
        assert not any(tensor.is_meta for tensor in model.state_dict().values())


def test_a_model_that_was_never_published_takes_files_of_ours_alone(weights, tmp_path):
    model = build_model("refinenet_lw_nasnet_mobile", num_classes=4)
    save_checkpoint(model, tmp_path / "ours.safetensors")

    again = build_model("refinenet_lw_nasnet_mobile", num_classes=4)
    load_checkpoint(again, tmp_path / "ours.safetensors")

    assert torch.equal(again.head.weight, model.head.weight)
    with pytest.raises(CheckpointError, match=f"no weights were published.*looks like {MODEL}"):
        load_checkpoint(again, file_of(weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:-100], "not a safetensors file that is whole"),
        (lambda d: d[:100], "not a safetensors file that is whole"),
        (lambda d: d.replace(b"num_classes", b"num_klasses"), "metadata cannot be read"),
        (lambda d: d.replace(b"head.bias", b"tail.bias"), "1 parameters missing .head.bias"),
    ],
)
def test_a_damaged_file_of_ours_is_refused(tmp_path, change, message):
    save_checkpoint(build_model(MODEL, num_classes=4), tmp_path / "ours.safetensors")
    data = (tmp_path / "ours.safetensors").read_bytes()

    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(build_model(MODEL, num_classes=4), change(data))


def test_half_precision_weights_load_into_a_float32_model(weights):
    halves = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    model = build_model(MODEL, num_classes=4)

    report = load_checkpoint(model, file_of(halves))

    assert report.dtype == "float16"
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.weight, halves["segm.weight"].float())


def test_a_multi_task_files_other_branches_are_left_out():
    name = "refinenet_multitask_mobilenet_v2"
    weights = published_state_dict(build_model(name, num_classes=4))
    others = {"pre_depth.weight": torch.zeros(256, 1, 1, 1), "depth.bias": torch.zeros(1)}
    model = build_model(name, num_classes=4)

    load_checkpoint(model, file_of({**weights, **others}))

    assert torch.equal(model.pre_head.conv.weight, weights["pre_segm.weight"])
    with pytest.raises(CheckpointError, match=f"looks like {name}"):
        load_checkpoint(build_model(MODEL, num_classes=4), file_of({**weights, **others}))


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "conv8.weight"), "1 parameters missing .conv8.weight."),
        (lambda w: {**w, "extra.weight": torch.zeros(1)}, "1 parameters unexpected .extra.weight"),
        (
            lambda w: {**without(w, "conv8.weight"), "conv9.weight": w["conv8.weight"]},
            "conv8.weight.*conv9.weight",
        ),
        (
            lambda w: {**w, "conv8.weight": w["conv8.weight"].transpose(0, 1)},
            r"has shape \(320, 256, 1, 1\); .* has \(256, 320, 1, 1\)",
        ),
        (
            lambda w: {**w, "conv8.weight": w["conv8.weight"] * float("nan")},
            "NaN",
        ),
        (lambda _: {"epoch": 3}, "holds no state dict; its keys are 'epoch'"),
        (lambda _: [1, 2], "holds a list"),
        (lambda w: {"conv1.weight": w["conv8.weight"], "fc.weight": w["segm.bias"]}, "ImageNet"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_the_model_unchanged(weights, change, message):
    model = build_model(MODEL, num_classes=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model, file_of(change(weights)))

    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_another_class_count_is_named_with_the_remedy(weights):
    with pytest.raises(
        CheckpointError, match="is for 4 classes, the model has 21; set num_classes"
    ):
        load_checkpoint(build_model(MODEL, num_classes=21), file_of(weights))
