"""Checkpoints: what a weights file is for, loading it strictly, and a file of our own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import safetensors.torch
import torch
from torch import Tensor

from refinenet_core.errors import CheckpointError
from refinenet_core.labels.palettes import Colour
from refinenet_core.networks.costs import list_models
from refinenet_core.networks.models import RefineNet
from refinenet_core.weights.checkpoint_info import CheckpointInfo, CheckpointReport
from refinenet_core.weights.parameter_names import (
    count_poolings,
    head_name,
    identify_model,
    is_other_branch,
    published_modules,
)
from refinenet_core.weights.weight_files import WeightFile, read_weight_file

_FORMAT: Final = "refinenet-batch/1"
_COUNTER: Final = "num_batches_tracked"  # absent from PyTorch before 0.4.1, unused in inference


def inspect_checkpoint(
    file: str | Path | bytes | WeightFile, *, source: str | None = None
) -> CheckpointInfo:
    """Say what a weights file is for.

    Args:
        file: Path of the file, or its bytes, or what was read of either.
        source: Name of the file in messages; by default its path.

    Raises:
        CheckpointError: The file is missing, is not a weights file, or wants to run code.
    """
    return _describe(_read(file, source))


def load_checkpoint(
    model: RefineNet, checkpoint: str | Path | bytes | WeightFile, *, source: str | None = None
) -> CheckpointReport:
    """Load a weights file, of ours or with published parameter names, into a model, strictly.

    Args:
        model: Network from `build_model`; its weights are replaced, its dtype stays. If it was
            built on the device "meta", it takes the file's tensors as they are, memory-mapped
            where the kind of file allows it, so that they are held once.
        checkpoint: Path of the file, or its bytes, or what was read of either.
        source: Name of the file in messages; by default its path.

    Returns:
        What was loaded.

    Raises:
        CheckpointError: The file is missing, is not a weights file, wants to run code, or any
            parameter is missing, surplus or of another shape. The model is then unchanged.
    """
    file = _read(checkpoint, source)
    info = _describe(file)
    state_dict = _own_names(file, info, model) if info.ours else _rename(file, info, model)
    _check_shapes(state_dict, model, file.source)
    _assign(state_dict, model)
    return CheckpointReport(
        source=file.source,
        sha256=file.sha256,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=info.dtype,
    )


def save_checkpoint(
    model: RefineNet,
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    colours: Sequence[Colour] | None = None,
    ignore_index: int | None = None,
    scales: Sequence[float] | None = None,
    miou: float | None = None,
) -> None:
    """Write a checkpoint of our own: safetensors, whose metadata say all that a job needs.

    Args:
        model: The network; its parameters are written under our names, in their dtype.
        path: File to write; one that is there is replaced.
        classes: Class names, one for each class of the model.
        colours: A colour for each class.
        ignore_index: Target value of unlabelled pixels.
        scales: Scales that `miou` was measured with.
        miou: Published mIoU, a fraction.

    Raises:
        ValueError: There is not one name, or colour, for each class.
    """
    for name, values in (("classes", classes), ("colours", colours)):
        if values is not None and len(values) != model.num_classes:
            raise ValueError(f"{len(values)} {name} given, the model has {model.num_classes}")
    facts = {
        "model": model.name,
        "num_classes": model.num_classes,
        "poolings": model.decoder.poolings,
        "improved_pooling": model.decoder.improved_pooling,
        "mean": model.normalisation.mean,
        "std": model.normalisation.std,
        "classes": classes,
        "colours": colours,
        "ignore_index": ignore_index,
        "scales": scales,
        "miou": miou,
    }
    metadata = {"format": _FORMAT, "refinenet": json.dumps(facts)}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    Path(path).write_bytes(safetensors.torch.save(tensors, metadata))


def published_state_dict(model: RefineNet) -> dict[str, Tensor]:
    """Return a model's state dict under the published parameter names."""
    published = {
        ours: theirs
        for theirs, ours in published_modules(model.name, poolings=model.decoder.poolings).items()
    }
    result = {}
    for key, tensor in model.state_dict().items():
        module, _, leaf = key.rpartition(".")
        result[f"{published[module]}.{leaf}"] = tensor
    return result


def _read(file: str | Path | bytes | WeightFile, source: str | None) -> WeightFile:
    return file if isinstance(file, WeightFile) else read_weight_file(file, source)


def _describe(file: WeightFile) -> CheckpointInfo:
    floating = {name: t for name, t in file.tensors.items() if t.is_floating_point()}
    learnt = [t for name, t in floating.items() if ".running_" not in name]
    looks_like = identify_model(file.tensors)
    head = file.tensors.get(f"{head_name(looks_like)}.bias")
    info = CheckpointInfo(
        source=file.source,
        container=file.container,
        ours=False,
        sha256=file.sha256,
        model=looks_like if looks_like in list_models() else None,
        looks_like=looks_like,
        num_classes=len(head) if head is not None and head.ndim == 1 else None,
        poolings=count_poolings(file.tensors),
        improved_pooling=False,
        dtype=str(learnt[0].dtype).removeprefix("torch.") if learnt else "none",
        num_parameters=sum(tensor.numel() for tensor in learnt),
    )
    return _with_metadata(info, file) if file.metadata.get("format") == _FORMAT else info


def _with_metadata(info: CheckpointInfo, file: WeightFile) -> CheckpointInfo:
    try:
        facts = json.loads(file.metadata["refinenet"])
        return replace(
            info,
            ours=True,
            model=facts["model"],
            looks_like=facts["model"],
            num_classes=facts["num_classes"],
            poolings=facts["poolings"],
            improved_pooling=facts["improved_pooling"],
            classes=facts["classes"] and tuple(facts["classes"]),
            colours=facts["colours"] and tuple((r, g, b) for r, g, b in facts["colours"]),
            ignore_index=facts["ignore_index"],
            scales=facts["scales"] and tuple(facts["scales"]),
            miou=facts["miou"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            file.source, f"calls itself {_FORMAT}, but its metadata cannot be read: {error}"
        ) from error


def _own_names(file: WeightFile, info: CheckpointInfo, model: RefineNet) -> dict[str, Tensor]:
    """Return the tensors of a file of ours; refuse one of another model or other options."""
    found = (info.model, info.poolings, info.improved_pooling)
    expected = (model.name, model.decoder.poolings, model.decoder.improved_pooling)
    if found != expected:
        raise CheckpointError(
            file.source,
            f"is for model {found[0]} (poolings {found[1]}, improved_pooling {found[2]}), not "
            f"{expected[0]} (poolings {expected[1]}, improved_pooling {expected[2]})",
        )
    return _complete(dict(file.tensors), list(model.state_dict()), info, model)


def _rename(file: WeightFile, info: CheckpointInfo, model: RefineNet) -> dict[str, Tensor]:
    """Translate published names to ours; refuse a file with names missing or left over."""
    try:
        modules = published_modules(model.name, poolings=model.decoder.poolings)
    except ValueError as error:
        raise CheckpointError(
            file.source,
            f"is not a file of ours, and no weights were published for model {model.name}; the "
            f"file looks like {info.looks_like or 'nothing known'}",
        ) from error
    published = {
        f"{theirs}.{leaf}": f"{ours}.{leaf}"
        for theirs, ours in modules.items()
        for leaf in model.get_submodule(ours).state_dict()
    }
    weights = {
        name: tensor
        for name, tensor in file.tensors.items()
        if not is_other_branch(model.name, name)
    }
    weights = _complete(weights, list(published), info, model)
    return {published[name]: tensor for name, tensor in weights.items()}


def _complete(
    weights: dict[str, Tensor], expected: list[str], info: CheckpointInfo, model: RefineNet
) -> dict[str, Tensor]:
    """Return the weights with missing counters as zero; anything else missing is an error."""
    missing = [name for name in expected if name not in weights]
    counters = [name for name in missing if name.endswith(_COUNTER)]
    missing = [name for name in missing if not name.endswith(_COUNTER)]
    surplus = [name for name in weights if name not in set(expected)]
    if missing or surplus:
        found = info.looks_like
        hint = f"; the file looks like {found}" if found and found != model.name else ""
        raise CheckpointError(
            info.source,
            f"does not fit model {model.name}: {_some('missing', missing)}, "
            f"{_some('unexpected', surplus)}{hint}. Give the file of this model, or name the "
            "model that the file is for",
        )
    return weights | {name: torch.zeros((), dtype=torch.int64) for name in counters}


def _check_shapes(state_dict: Mapping[str, Tensor], model: RefineNet, source: str) -> None:
    expected = model.state_dict()
    classes = state_dict["head.bias"].shape[0] if state_dict["head.bias"].ndim else 0
    if classes != model.num_classes:
        raise CheckpointError(
            source,
            f"is for {classes} classes, the model has {model.num_classes}; "
            f"set num_classes to {classes}, or give the file that was trained for this job",
        )
    for name, tensor in state_dict.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                source,
                f"parameter {name} has shape {tuple(tensor.shape)}; model {model.name} "
                f"has {tuple(expected[name].shape)}",
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(source, f"parameter {name} holds NaN or infinite values")


def _assign(state_dict: Mapping[str, Tensor], model: RefineNet) -> None:
    on_meta = model.head.weight.is_meta
    if on_meta:  # the dtype of a model is float32 until its user converts it
        state_dict = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state_dict.items()
        }
    model.load_state_dict(state_dict, assign=on_meta)


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} parameters {what}" + (f" ({shown})" if names else "")
