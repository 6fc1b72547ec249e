"""Reading weights files: every parameter is accounted for, or the file is refused."""

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from refinenet_core.errors import CheckpointError
from refinenet_core.models import RefineNet
from refinenet_core.published_names import (
    identify_model,
    is_other_branch,
    published_modules,
)

_NESTS = ("model", "state_dict", "segmenter", "weights")  # keys under which files nest the weights
_COUNTER = "num_batches_tracked"  # absent from files of PyTorch before 0.4.1, unused in inference


@dataclass(frozen=True)
class CheckpointReport:
    """What was loaded.

    Attributes:
        source: Name of the file.
        sha256: Digest of the file's bytes, hexadecimal.
        num_parameters: Number of learnt values loaded, running statistics not counted.
        dtype: Precision that the weights had in the file, for example "float16".
    """

    source: str
    sha256: str
    num_parameters: int
    dtype: str


def load_checkpoint(
    model: RefineNet, checkpoint: str | Path | bytes, *, source: str | None = None
) -> CheckpointReport:
    """Load a weights file with published parameter names into a model, strictly.

    Args:
        model: Network from `build_model`; its weights are replaced, its dtype stays.
        checkpoint: Path of the file, or its bytes.
        source: Name of the file in messages, if `checkpoint` is bytes.

    Returns:
        What was loaded.

    Raises:
        CheckpointError: The file is missing, is not a PyTorch weights file, wants to run code, or
            any parameter is missing, surplus or of another shape. The model is then unchanged.
    """
    if isinstance(checkpoint, bytes):
        source, data = source or "checkpoint", checkpoint
    else:
        source, data = source or str(checkpoint), _read_file(Path(checkpoint))
    weights = _find_state_dict(_unpickle(data, source), source)
    state_dict = _rename(weights, model, source)
    _check_shapes(state_dict, model, source)
    model.load_state_dict(state_dict, strict=False)  # checked above; only counters may be missing
    floating = [tensor.dtype for tensor in weights.values() if tensor.is_floating_point()]
    return CheckpointReport(
        source=source,
        sha256=hashlib.sha256(data).hexdigest(),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(floating[0]).removeprefix("torch."),
    )


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


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(str(path), f"cannot be read: {error.strerror or error}") from error


def _unpickle(data: bytes, source: str) -> object:
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        start = data[:16]
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            source,
            f"is not a PyTorch weights file that can be read without running code from it "
            f"({len(data)} bytes, starting {start!r}): {cause}",
        ) from error


def _find_state_dict(content: object, source: str) -> dict[str, Tensor]:
    """Return the mapping of names to tensors, from where it is nested, without `module.`."""
    while isinstance(content, Mapping):
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return {str(key).removeprefix("module."): value for key, value in content.items()}
        nests = [key for key in _NESTS if isinstance(content.get(key), Mapping)]
        if not nests:
            keys = ", ".join(repr(key) for key in list(content)[:5])
            raise CheckpointError(source, f"holds no state dict; its keys are {keys or 'none'}")
        content = content[nests[0]]
    raise CheckpointError(source, f"holds a {type(content).__name__}; expected a state dict")


def _rename(weights: Mapping[str, Tensor], model: RefineNet, source: str) -> dict[str, Tensor]:
    """Translate published names to ours; refuse a file with names missing or left over."""
    modules = published_modules(model.name, poolings=model.decoder.poolings)
    published = {
        f"{theirs}.{leaf}": f"{ours}.{leaf}"
        for theirs, ours in modules.items()
        for leaf in _leaves(model.get_submodule(ours))
    }
    missing = [name for name in published if name not in weights and not name.endswith(_COUNTER)]
    weights = {
        name: tensor for name, tensor in weights.items() if not is_other_branch(model.name, name)
    }
    surplus = [name for name in weights if name not in published]
    if missing or surplus:
        found = identify_model(weights)
        hint = f"; the file looks like {found}" if found and found != model.name else ""
        raise CheckpointError(
            source,
            f"does not fit model {model.name}: {_some('missing', missing)}, "
            f"{_some('unexpected', surplus)}{hint}. Give the file of this model, or name the "
            "model that the file is for",
        )
    return {published[name]: tensor for name, tensor in weights.items()}


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


def _leaves(module: nn.Module) -> list[str]:
    return list(module.state_dict())


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} parameters {what}" + (f" ({shown})" if names else "")
