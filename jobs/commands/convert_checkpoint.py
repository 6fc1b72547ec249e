"""Weights files: from any that people hold to one of ours."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.errors import SpecError
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri, protocol_of, shown
from refinenet_core import (
    CheckpointError,
    CheckpointInfo,
    build_model,
    inspect_checkpoint,
    label_set,
    load_checkpoint,
    save_checkpoint,
)


@dataclass(frozen=True)
class Facts:
    """What a published file does not say, and a file of ours can.

    Attributes:
        model: Name of the model; by default what the parameters tell.
        classes: Name of a built-in label set.
        scales: Scales that `miou` was measured with.
        miou: Published mIoU, a fraction.
        improved_pooling: Whether the chained pooling convolves first.
    """

    model: str | None = None
    classes: str | None = None
    scales: tuple[float, ...] | None = None
    miou: float | None = None
    improved_pooling: bool = False


def inspect_location(location: str) -> CheckpointInfo:
    """Say what the weights file at a path or URL is.

    Raises:
        CheckpointError: It is not a weights file.
        StorageError: It cannot be read.
    """
    return inspect_checkpoint(_file(location), source=shown(absolute_uri(location)))


def convert(location: str, out: Path, facts: Facts) -> CheckpointInfo:
    """Write the weights file at a path or URL as one of ours, bit for bit; return what it is then.

    Raises:
        CheckpointError: It is not a weights file, or not one of a model that is known.
        StorageError: It cannot be read.
        SpecError: The facts are wrong: an unknown label set, or one of another class count.
    """
    source, file = shown(absolute_uri(location)), _file(location)
    info = inspect_checkpoint(file, source=source)
    name = facts.model or info.model
    if name is None or info.num_classes is None:
        looks_like = info.looks_like or "nothing known"
        raise CheckpointError(
            source, f"is for no model that is known (it looks like {looks_like}); give --model"
        )
    try:
        return _convert(file, source, out, replace(facts, model=name), info)
    except ValueError as error:
        raise SpecError("checkpoint convert", (str(error),)) from error


def _convert(
    file: Path | bytes, source: str, out: Path, facts: Facts, info: CheckpointInfo
) -> CheckpointInfo:
    model = build_model(
        facts.model or "",
        info.num_classes or 0,
        poolings=info.poolings,
        improved_pooling=facts.improved_pooling or info.improved_pooling,
        device="meta",
    )
    load_checkpoint(model, file, source=source)
    labels = label_set(facts.classes) if facts.classes else None
    save_checkpoint(
        model.to(getattr(torch, info.dtype)),
        out,
        classes=labels.classes if labels else info.classes,
        colours=labels.colours if labels else info.colours,
        ignore_index=labels.ignore_index if labels else info.ignore_index,
        scales=facts.scales or info.scales,
        miou=facts.miou if facts.miou is not None else info.miou,
    )
    return inspect_checkpoint(out)


def _file(location: str) -> Path | bytes:
    """Return a local file by its path, which is then memory-mapped, anything else by its bytes."""
    uri = absolute_uri(location)
    return Path(shown(uri)) if protocol_of(uri) == "file" else Storage().read(uri)
