"""Preparing a job: what it starts from is read, everything that decides results is fixed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import refinenet_core
from pipeline.completion import complete_spec
from pipeline.errors import SpecError
from pipeline.fusion_inputs import FusionInput, fused_spec, read_inputs
from pipeline.job import Job, device_of
from pipeline.listed_locations import listing_field
from pipeline.mask_table import TABLE_VERSION
from pipeline.output_names import output_files
from pipeline.spec import JobSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

if TYPE_CHECKING:
    from refinenet_core import CheckpointReport, RefineNet

FUSING_RULE = "quarter-bicubic-mean/1"  # changes with anything that changes a label
SCORING_RULE = "masks/1"  # changes with anything that changes what a mask is taken to say
AVERAGING_RULE = "softmax-stride4-bilinear-mean/2"  # changes with anything that changes a label


def prepare_job(spec: JobSpec, storage: Storage, *, gpus: int | None = None) -> Job:
    """Check everything about a job that can be checked without its images.

    Args:
        spec: What the user asked for; what it leaves out is taken from the checkpoint, or from
            the outputs that it fuses.
        storage: Access to them.
        gpus: GPUs that the run can use; by default those of this machine.

    Raises:
        SpecError: The output lies among the images or targets, the model is unknown, something is
            left out that the checkpoint does not tell, or more GPUs are asked for than there are.
        CheckpointError: The checkpoint is missing or does not fit the model.
        OutputError: An output that is to be fused cannot be.
        StorageError: The checkpoint or an output cannot be read.
    """
    if spec.fuse is not None:
        inputs = read_inputs(spec, storage)
        spec = fused_spec(spec, inputs)
        return Job(spec, None, 0, _fusing(inputs) | _common(spec))
    _check_output(spec)
    if spec.model is None:
        return Job(spec, None, 0, _scoring(spec) | _common(spec))
    import torch  # noqa: PLC0415 - whoever imports the pipeline to read or write needs none

    gpus = torch.cuda.device_count() if gpus is None else gpus
    gpus_per_actor = _gpus_per_actor(spec, gpus)
    location = spec.model.checkpoint
    checkpoint = storage.read(location)
    info = refinenet_core.inspect_checkpoint(checkpoint, source=shown(location))
    spec = complete_spec(spec, info)
    _, report = load_model(spec, checkpoint)
    precision = refinenet_core.resolve_precision(
        spec.inference.precision, device_of(spec, gpus_per_actor)
    )
    fingerprint = _segmenting(spec, report.sha256, precision) | _common(spec)
    return Job(spec, report, gpus_per_actor, fingerprint)


def _check_output(spec: JobSpec) -> None:
    written = output_files([dataset.name for dataset in spec.datasets])
    for position, dataset in enumerate(spec.datasets):
        field = listing_field(dataset, spec.output, written)
        if field is not None:
            problem = (
                f"{shown(spec.output)} lies where datasets[{position}].{field}, "
                f"{shown(getattr(dataset, field))}, lists files, so that results would be taken "
                "for inputs; give an output outside of it"
            )
            raise SpecError("output", (problem,))


def load_model(spec: JobSpec, checkpoint: bytes) -> "tuple[RefineNet, CheckpointReport]":
    """Build the network of a complete spec and load its checkpoint.

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


def _gpus_per_actor(spec: JobSpec, gpus: int) -> float:
    asked, device = spec.resources.gpus_per_actor, spec.resources.device
    if device == "cuda" and not gpus:
        raise SpecError(
            "resources.device",
            ("is 'cuda', but there is no GPU here; leave it out, or give 'cpu'",),
        )
    if asked == "auto":
        return 1.0 if gpus and device != "cpu" else 0.0
    if asked > gpus:
        raise SpecError(
            "resources.gpus_per_actor",
            (f"is {asked:g}, but there are {gpus} GPUs here; lower it, or 0 runs on the CPU",),
        )
    return float(asked)


def _segmenting(spec: JobSpec, checkpoint_sha256: str, precision: str) -> dict[str, Any]:
    """Return what decides the labels of a network."""
    return {
        "model": spec.network.name,
        "num_classes": spec.network.num_classes,
        "poolings": spec.network.poolings,
        "improved_pooling": spec.network.improved_pooling,
        "checkpoint_sha256": checkpoint_sha256,
        "precision": precision,
        "scales": list(spec.inference.scales),
        "flip": spec.inference.flip,
        "protocol": spec.inference.protocol,
        "averaging": AVERAGING_RULE,
        "batch_pixels": spec.inference.batch_pixels,
        "max_pixels_per_pass": spec.inference.max_pixels_per_pass,
        "probabilities": spec.inference.probabilities,
    }


def _fusing(inputs: Sequence[FusionInput]) -> dict[str, Any]:
    """Return what decides the labels of averaged probabilities."""
    return {
        "fusing": FUSING_RULE,
        "fused": [{"fingerprint_sha256": each.digest, "weight": each.weight} for each in inputs],
    }


def _scoring(spec: JobSpec) -> dict[str, Any]:
    """Return what decides the labels of masks that exist already."""
    return {
        "scoring": SCORING_RULE,
        "predictions": {
            dataset.name: dataset.predictions and dataset.predictions.model_dump(mode="json")
            for dataset in spec.datasets
        },
    }


def _common(spec: JobSpec) -> dict[str, Any]:
    """Return what decides the results of any job."""
    return {
        "boundary_iou": spec.metrics.boundary_iou,
        "datasets": [
            {
                "name": dataset.name,
                "format": dataset.format,
                "images": dataset.images,
                "targets": dataset.targets,
                "members": dataset.members and dataset.members.model_dump(mode="json"),
                "columns": dataset.columns and dataset.columns.model_dump(mode="json"),
                "labels": dataset.labels.model_dump(mode="json"),
                "decode": dataset.decode.model_dump(mode="json", exclude={"timeout_s"}),
                "classes": list(dataset.label_set().classes),
                "colours": [list(colour) for colour in dataset.label_set().colours],
                "ignore_index": dataset.label_set().ignore_index,
                "encoding": dataset.label_set().encoding,
            }
            for dataset in spec.datasets
        ],
        "part_images": spec.part_images,
        "part_bytes": int(spec.part_bytes),
        "limit_images": spec.limit_images,
        "table_version": TABLE_VERSION,
    }
