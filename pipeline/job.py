"""The job: a spec made definite, and the fingerprint by which its results are known."""

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pipeline.completion import complete_spec
from pipeline.errors import OutputError, SpecError
from pipeline.mask_table import TABLE_VERSION
from pipeline.spec import JobSpec
from pipeline.storage import Storage
from pipeline.uris import shown
from refinenet_core import (
    CheckpointReport,
    RefineNet,
    build_model,
    inspect_checkpoint,
    load_checkpoint,
    resolve_precision,
)

AVERAGING_RULE = "softmax-stride4-bilinear-mean/1"  # changes with anything that changes a label
JOB_VERSION = 1
_LIBRARIES = ("refinenet-batch", "torch", "torchvision", "ray", "pyarrow", "pillow", "numpy")

Fingerprint = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A spec with everything resolved that results depend on.

    Attributes:
        spec: What the user asked for, complete.
        checkpoint: What was loaded from the checkpoint, its digest among it.
        gpus_per_actor: GPUs of each actor; 0 runs on the CPU.
        fingerprint: Everything that decides the bytes of the results; strict JSON.
    """

    spec: JobSpec
    checkpoint: CheckpointReport
    gpus_per_actor: float
    fingerprint: Fingerprint = field(repr=False)

    @property
    def device(self) -> str:
        """Device of each actor."""
        return "cuda" if self.gpus_per_actor else "cpu"


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
    gpus = torch.cuda.device_count() if gpus is None else gpus
    gpus_per_actor = _gpus_per_actor(spec, gpus)
    checkpoint = storage.read(spec.model.checkpoint)
    info = inspect_checkpoint(checkpoint, source=shown(spec.model.checkpoint))
    spec = complete_spec(spec, info)
    _, report = load_model(spec, checkpoint)
    precision = resolve_precision(spec.inference.precision, "cuda" if gpus_per_actor else "cpu")
    return Job(spec, report, gpus_per_actor, _fingerprint(spec, report.sha256, precision))


def load_model(spec: JobSpec, checkpoint: bytes) -> tuple[RefineNet, CheckpointReport]:
    """Build the network of a complete spec and load its checkpoint.

    Raises:
        CheckpointError: The checkpoint does not fit the model.
    """
    model = build_model(
        spec.model.name or "",
        spec.model.num_classes or 0,
        poolings=spec.model.poolings or 0,
        improved_pooling=bool(spec.model.improved_pooling),
        device="meta",
    )
    return model, load_checkpoint(model, checkpoint, source=shown(spec.model.checkpoint))


def render_job(job: Job) -> bytes:
    """Return the content of `job.json`."""
    content = {
        "job_version": JOB_VERSION,
        "generation": 1,
        "fingerprint": job.fingerprint,
        "spec": job.spec.model_dump(mode="json"),
        "checkpoint": {"uri": job.spec.model.checkpoint, "sha256": job.checkpoint.sha256},
        "versions": library_versions(),
    }
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def parse_job(data: bytes, uri: str) -> Fingerprint:
    """Return the fingerprint in the content of a `job.json`.

    Raises:
        OutputError: It is none of ours.
    """
    try:
        fingerprint = json.loads(data)["fingerprint"]
    except (ValueError, TypeError, KeyError) as error:
        raise OutputError(
            shown(uri), "is not a job.json of refinenet-batch; give another `output`"
        ) from error
    return dict(fingerprint)


def differences(found: Fingerprint, expected: Fingerprint) -> list[str]:
    """Say where two fingerprints differ, each place as `field: value there, value here`."""
    there, here = dict(_leaves(found)), dict(_leaves(expected))
    return [
        f"{path}: {json.dumps(there.get(path))} there, {json.dumps(here.get(path))} here"
        for path in sorted(there.keys() | here.keys())
        if there.get(path) != here.get(path)
    ]


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that touch pixels or tables."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each scalar of nested mappings and lists with its path."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}[{position}]")
    else:
        yield path, value


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
        "averaging": AVERAGING_RULE,
        "batch_pixels": spec.inference.batch_pixels,
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
