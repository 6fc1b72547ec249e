"""The checkpoint of a spec: what the spec leaves out is taken from it, and its network built."""

from typing import TYPE_CHECKING, Any

import refinenet_core
from pipeline.errors import SpecError
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.uris import shown
from refinenet_core.labels.palettes import voc_colours

if TYPE_CHECKING:
    from refinenet_core import CheckpointInfo, CheckpointReport, RefineNet
    from refinenet_core.weights.weight_files import WeightFile


def complete_spec(spec: JobSpec, info: "CheckpointInfo") -> JobSpec:
    """Return a spec with the model, its options and the classes filled in where it has none.

    Args:
        spec: What the user asked for; it has a model.
        info: What the checkpoint says of itself, or what its parameters tell.

    Raises:
        SpecError: Something is left out that the checkpoint does not tell either, or what the
            two say together is inconsistent.
    """
    content = spec.model_dump(mode="json")
    model = content["model"]
    for field, told in (
        ("name", info.model),
        ("num_classes", info.num_classes),
        ("poolings", info.poolings),
        ("improved_pooling", info.improved_pooling),
    ):
        if model[field] is None:
            model[field] = told
        if model[field] is None:
            raise _missing(f"model.{field}", info)
    if model["name"] not in refinenet_core.list_models():
        known = ", ".join(refinenet_core.list_models())
        raise SpecError("model.name", (f"unknown model {model['name']!r}; known are: {known}",))
    for position, dataset in enumerate(content["datasets"]):
        if dataset["classes"] is None:
            if info.classes is None:
                raise _missing(f"datasets[{position}].classes", info)
            dataset["classes"] = _classes(info)
            if dataset["ignore_index"] is None:
                dataset["ignore_index"] = info.ignore_index
    return JobSpec.from_mapping(content, source=f"the spec, with {shown(info.source)}")


def _classes(info: "CheckpointInfo") -> list[dict[str, Any]]:
    names = info.classes or ()
    colours = info.colours or voc_colours(len(names))
    return [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]


def _missing(field: str, info: "CheckpointInfo") -> SpecError:
    looks_like = f" (it looks like {info.looks_like})" if info.looks_like else ""
    return SpecError(
        field,
        (f"missing, and {shown(info.source)} does not tell it{looks_like}; give it in the spec",),
    )


def load_model(
    spec: JobSpec, checkpoint: "bytes | WeightFile"
) -> "tuple[RefineNet, CheckpointReport]":
    """Build the network of a complete spec and load its checkpoint.

    Args:
        spec: The spec.
        checkpoint: The file's bytes, or what was read of them.

    Raises:
        CheckpointError: The checkpoint does not fit the model.
    """
    asked = spec.network
    model = refinenet_core.build_model(
        asked.name or "",
        asked.num_classes or 0,
        poolings=asked.poolings or 0,
        improved_pooling=bool(asked.improved_pooling),
        device="meta",
    )
    return model, refinenet_core.load_checkpoint(model, checkpoint, source=shown(asked.checkpoint))
