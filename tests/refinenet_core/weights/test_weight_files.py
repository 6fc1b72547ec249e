"""Weights files of every kind: read whatever their name, or refused without running anything."""

import os
import pickle

import pytest
import safetensors.torch
import torch

from refinenet_core import (
    CheckpointError,
    build_model,
    inspect_checkpoint,
    load_checkpoint,
    published_state_dict,
)
from weights import MODEL, file_of


@pytest.mark.parametrize("nest", [None, "model", "state_dict", "segmenter", "weights"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_raw_and_nested_files_load_bit_for_bit(weights, nest, prefix):
    content = {prefix + name: tensor for name, tensor in weights.items()}
    model = build_model(MODEL, num_classes=4)

    report = load_checkpoint(model, file_of({nest: content, "epoch": 7} if nest else content))

    assert report.num_parameters == sum(p.numel() for p in model.parameters())
    loaded = published_state_dict(model)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("save", "container"),
    [
        (torch.save, "zip pickle"),
        (
            lambda w, path: torch.save(w, path, _use_new_zipfile_serialization=False),
            "legacy pickle",
        ),
        (safetensors.torch.save_file, "safetensors"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".ckpt", ".safetensors"])
def test_every_kind_of_file_loads_whatever_its_name(weights, tmp_path, save, container, suffix):
    path = tmp_path / f"weights{suffix}"
    save(weights, path)

    for file in (path, path.read_bytes()):
        model = build_model(MODEL, num_classes=4)
        load_checkpoint(model, file)
        loaded = published_state_dict(model)
        assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
        info = inspect_checkpoint(file)
        assert (info.container, info.ours) == (container, False)
        assert (info.model, info.num_classes, info.poolings) == (MODEL, 4, 4)


class _RunsCode:
    def __reduce__(self):
        return os.mkdir, ("ran-code",)


@pytest.mark.parametrize("dump", [lambda c: pickle.dumps(c, protocol=2), file_of])
def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(dump, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = dump({"segm.weight": _RunsCode()})

    with pytest.raises(CheckpointError, match="without running code"):
        load_checkpoint(build_model(MODEL, num_classes=4), data)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [lambda d: d[: len(d) // 2], lambda _: b"", lambda _: b"<!doctype html><html>404</html>"],
)
def test_truncated_empty_and_html_files_are_refused(weights, damage):
    with pytest.raises(CheckpointError, match="is not a PyTorch weights file"):
        load_checkpoint(build_model(MODEL, num_classes=4), damage(file_of(weights)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: cannot be read"):
        load_checkpoint(build_model(MODEL), tmp_path / "nowhere.pth")
