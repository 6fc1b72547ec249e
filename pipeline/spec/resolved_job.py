"""The job: a spec made definite, and the fingerprint by which its results are known."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import OutputError
from pipeline.spec.dataset_spec import DATASET_NAME
from pipeline.spec.fingerprint import Fingerprint
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.uris import shown

if TYPE_CHECKING:
    from refinenet_core import CheckpointReport

JOB_VERSION = 2
_LIBRARIES = ("refinenet-batch", "torch", "torchvision", "ray", "pyarrow", "pillow", "numpy")


@dataclass(frozen=True)
class Job:
    """A spec with everything resolved that results depend on.

    Attributes:
        spec: What the user asked for, complete.
        checkpoint: What was loaded from the checkpoint, its digest among it; None without a model.
        gpus_per_actor: GPUs of each actor; 0 runs on the CPU.
        fingerprint: Everything that decides the bytes of the results; strict JSON.
    """

    spec: JobSpec
    checkpoint: "CheckpointReport | None"
    gpus_per_actor: float
    fingerprint: Fingerprint = field(repr=False)

    @property
    def device(self) -> str:
        """Device of each actor."""
        return device_of(self.spec, self.gpus_per_actor)


@dataclass(frozen=True)
class JobRecord:
    """What `job.json` says of an output folder.

    Attributes:
        fingerprint: Of the job that the folder belongs to.
        generation: Raised by `overwrite` and `retry_failed`; a run that began with a lower one may
            write no more.
        clearing: Whether results of an earlier job are still to be deleted.
        datasets: Names of the datasets that the folder may hold results of.
    """

    fingerprint: Fingerprint
    generation: int
    clearing: bool
    datasets: tuple[str, ...]

    @classmethod
    def first(cls, job: Job) -> "JobRecord":
        """Return the record of a folder that had none."""
        return cls(job.fingerprint, 1, clearing=False, datasets=_dataset_names(job.spec))

    def retried(self) -> "JobRecord":
        """Return the record of the next generation of the same job."""
        return replace(self, generation=self.generation + 1)

    def overwritten(self, job: Job) -> "JobRecord":
        """Return the record of a job that takes the folder over."""
        names = dict.fromkeys((*self.datasets, *_dataset_names(job.spec)))
        return JobRecord(job.fingerprint, self.generation + 1, clearing=True, datasets=tuple(names))

    def cleared(self, job: Job) -> "JobRecord":
        """Return the record once the results of earlier jobs are gone."""
        return replace(self, clearing=False, datasets=_dataset_names(job.spec))

    def render(self, job: Job) -> bytes:
        """Return the content of `job.json`."""
        content = {
            "job_version": JOB_VERSION,
            "generation": self.generation,
            "clearing": self.clearing,
            "datasets": self.datasets,
            "fingerprint": self.fingerprint,
            "spec": job.spec.model_dump(mode="json"),
            "checkpoint": job.checkpoint
            and {"uri": job.spec.network.checkpoint, "sha256": job.checkpoint.sha256},
            "versions": library_versions(),
        }
        return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, uri: str) -> "JobRecord":
        """Read the content of a `job.json`.

        Raises:
            OutputError: It is none of ours.
        """
        try:
            content = json.loads(data)
            return cls(
                dict(content["fingerprint"]),
                int(content.get("generation", 1)),
                clearing=bool(content.get("clearing", False)),
                datasets=_names_in(content),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                shown(uri), f"is not a job.json of refinenet-batch ({error}); give another `output`"
            ) from error


def device_of(spec: JobSpec, gpus_per_actor: float) -> str:
    """Return the device on which actors with so many GPUs predict."""
    return "cuda" if gpus_per_actor and spec.resources.device != "cpu" else "cpu"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that touch pixels or tables."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions}


def _names_in(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of datasets in a `job.json`, which become those of folders.

    Raises:
        ValueError: One is no name that a spec could give.
    """
    names = content.get("datasets", [])
    for name in names if isinstance(names, list) else [names]:
        if not (isinstance(name, str) and DATASET_NAME.fullmatch(name)):
            raise ValueError(f"{name!r} is no name of a dataset")
    return tuple(names)


def _dataset_names(spec: JobSpec) -> tuple[str, ...]:
    return tuple(dataset.name for dataset in spec.datasets)
