"""Weights files of every kind that people hold: from a path or bytes to named tensors."""

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from refinenet_core.errors import CheckpointError
from refinenet_core.weights.checkpoint_info import Container

_NESTS = ("model", "state_dict", "segmenter", "weights")  # keys under which files nest the weights
_LEGACY_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # a pickle's protocol


@dataclass(frozen=True)
class WeightFile:
    """Named tensors, as a file holds them.

    Attributes:
        source: Name of the file.
        container: Kind of file.
        sha256: Digest of the file's bytes, hexadecimal.
        tensors: Tensors by the names in the file, without `module.`; of a path they are
            memory-mapped where the kind of file allows it.
        metadata: Strings beside the tensors; safetensors alone has them.
    """

    source: str
    container: Container
    sha256: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weight_file(file: str | Path | bytes, source: str | None = None) -> WeightFile:
    """Read a weights file: zip or legacy pickle, raw or nested, or safetensors.

    Pickles are read with `weights_only`: one that wants to run code is refused and runs nothing.

    Args:
        file: Path of the file, or its bytes.
        source: Name of the file in messages; by default its path.

    Raises:
        CheckpointError: The file is missing, or holds no weights that can be read so.
    """
    if isinstance(file, bytes):
        return _parse(file, file[:16], hashlib.sha256(file).hexdigest(), source or "checkpoint")
    path, source = Path(file), source or str(file)
    try:
        with path.open("rb") as opened:
            start = opened.read(16)
            opened.seek(0)
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(source, f"cannot be read: {error.strerror or error}") from error
    return _parse(path, start, sha256, source)


def _parse(file: Path | bytes, start: bytes, sha256: str, source: str) -> WeightFile:
    if start[8:9] == b"{":
        tensors, metadata = _read_safetensors(file, source)
        return WeightFile(source, "safetensors", sha256, tensors, metadata)
    zipped = start.startswith(b"PK\x03\x04")
    if not zipped and not start.startswith(_LEGACY_STARTS):
        raise CheckpointError(
            source,
            f"is not a PyTorch weights file: it is neither a pickle nor safetensors, and starts "
            f"with {start!r}",
        )
    content = _unpickle(file, source, zipped=zipped)
    tensors = _find_state_dict(content, source)
    return WeightFile(source, "zip pickle" if zipped else "legacy pickle", sha256, tensors)


def _read_safetensors(file: Path | bytes, source: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        if isinstance(file, Path):
            with safetensors.safe_open(file, framework="pt") as opened:
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                return tensors, dict(opened.metadata() or {})
        header_bytes = int.from_bytes(file[:8], "little")
        header = json.loads(file[8 : 8 + header_bytes])
        return safetensors.torch.load(file), dict(header.get("__metadata__", {}))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            source, f"is not a safetensors file that is whole: {error}"
        ) from error


def _unpickle(file: Path | bytes, source: str, *, zipped: bool) -> object:
    # PyTorch goes by the name as well: it takes a path that ends so for safetensors.
    misnamed = isinstance(file, Path) and file.suffix == ".safetensors"
    mapped = zipped and isinstance(file, Path) and not misnamed
    try:
        if misnamed and isinstance(file, Path):
            file = file.read_bytes()
        with warnings.catch_warnings():
            # PyTorch warns of old pickle protocols, which it reads or refuses all the same.
            warnings.simplefilter("ignore")
            return torch.load(
                io.BytesIO(file) if isinstance(file, bytes) else file,
                map_location="cpu",
                weights_only=True,
                mmap=mapped,
            )
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
    ) as error:
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            source,
            f"is not a PyTorch weights file that can be read without running code from it: {cause}",
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
