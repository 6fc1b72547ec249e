"""Preparing a job: its checkpoint is read and fitted, everything that decides results is fixed."""

from typing import TYPE_CHECKING

import refinenet_core
from pipeline.completion import complete_spec
from pipeline.errors import SpecError
from pipeline.job import Fingerprint, Job
from pipeline.mask_table import TABLE_VERSION
from pipeline.spec import JobSpec
from pipeline.storage import Storage
from pipeline.uris import shown

if TYPE_CHECKING:
    from refinenet_core import CheckpointReport, RefineNet

AVERAGING_RULE = "softmax-stride4-bilinear-mean/2"  # changes with anything that changes a label


def prepare_job(spec: JobSpec, storage: Storage, *, gpus: int | None = None) -> Job:
    """Check everything about a job that can be checked without its images.

    Args:
        spec: What the user asked for; what it leaves out is taken from the checkpoint.
        storage: Access to the checkpoint.
        gpus: GPUs that the run can use; by default those of this machine.

    Raises:
        SpecError: The model is unknown, something is left out that the checkpoint does not tell,
            or more GPUs are asked for than there are.
        CheckpointError: The checkpoint is missing or does not fit the model.
        StorageError: The checkpoint cannot be read.
    """
    import torch  # noqa: PLC0415 - whoever imports the pipeline to read or write needs none

    gpus = torch.cuda.device_count() if gpus is None else gpus
    gpus_per_actor = _gpus_per_actor(spec, gpus)
    checkpoint = storage.read(spec.model.checkpoint)
    info = refinenet_core.inspect_checkpoint(checkpoint, source=shown(spec.model.checkpoint))
    spec = complete_spec(spec, info)
    _, report = load_model(spec, checkpoint)
    precision = refinenet_core.resolve_precision(
        spec.inference.precision, "cuda" if gpus_per_actor else "cpu"
    )
    return Job(spec, report, gpus_per_actor, _fingerprint(spec, report.sha256, precision))


def load_model(spec: JobSpec, checkpoint: bytes) -> "tuple[RefineNet, CheckpointReport]":
    """Build the network of a complete spec and load its checkpoint.

    Raises:
        CheckpointError: The checkpoint does not fit the model.
    """
    model = refinenet_core.build_model(
        spec.model.name or "",
        spec.model.num_classes or 0,
        poolings=spec.model.poolings or 0,
        improved_pooling=bool(spec.model.improved_pooling),
        device="meta",
    )
    return model, refinenet_core.load_checkpoint(
        model, checkpoint, source=shown(spec.model.checkpoint)
    )


def _gpus_per_actor(spec: JobSpec, gpus: int) -> float:
    asked = spec.resources.gpus_per_actor
    if asked == "auto":
        return 1.0 if gpus else 0.0
    if asked > gpus:
        raise SpecError(
            "resources.gpus_per_actor",
            (f"is {asked:g}, but there are {gpus} GPUs here; lower it, or 0 runs on the CPU",),
        )
    return float(asked)


def _fingerprint(spec: JobSpec, checkpoint_sha256: str, precision: str) -> Fingerprint:
    return {
        "model": spec.model.name,
        "num_classes": spec.model.num_classes,
        "poolings": spec.model.poolings,
        "improved_pooling": spec.model.improved_pooling,
        "checkpoint_sha256": checkpoint_sha256,
        "precision": precision,
        "scales": list(spec.inference.scales),
        "flip": spec.inference.flip,
        "protocol": spec.inference.protocol,
        "averaging": AVERAGING_RULE,
        "batch_pixels": spec.inference.batch_pixels,
        "max_pixels_per_pass": spec.inference.max_pixels_per_pass,
        "probabilities": spec.inference.probabilities,
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
