"""The record of a job in its output folder, `job.json`."""

import contextlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.errors import OutputError, SpecError
from pipeline.output.output_names import JOB_FILE
from pipeline.spec.dataset_spec import DATASET_NAME
from pipeline.spec.fingerprint import TABLE_VERSION, Fingerprint
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.storage.storage import Storage
from pipeline.storage.uris import join, shown
from refinenet_core import CheckpointInfo

JOB_VERSION = 2
_LIBRARIES = ("refinenet-batch", "torch", "ray", "pyarrow", "pillow", "numpy")


@dataclass(frozen=True)
class JobRecord:
    """What `job.json` says of an output folder.

    Attributes:
        fingerprint: Of the job that the folder belongs to.
        generation: Raised by `overwrite` and `retry_failed`; a run that began with a lower one may
            write no more.
        clearing: Whether results of an earlier job are still to be deleted.
        datasets: Names of the datasets that the folder may hold results of.
        checkpoint: What the job's checkpoint told of itself when it was loaded; None if it has
            none, or the record is of before it was kept.
    """

    fingerprint: Fingerprint
    generation: int
    clearing: bool
    datasets: tuple[str, ...]
    checkpoint: CheckpointInfo | None = None

    @classmethod
    def first(cls, job: Job) -> "JobRecord":
        """Return the record of a folder that had none."""
        names = _dataset_names(job.spec)
        return cls(job.fingerprint, 1, clearing=False, datasets=names, checkpoint=job.checkpoint)

    def retried(self) -> "JobRecord":
        """Return the record of the next generation of the same job."""
        return replace(self, generation=self.generation + 1)

    def overwritten(self, job: Job) -> "JobRecord":
        """Return the record of a job that takes the folder over."""
        names = dict.fromkeys((*self.datasets, *_dataset_names(job.spec)))
        return JobRecord(
            job.fingerprint,
            self.generation + 1,
            clearing=True,
            datasets=tuple(names),
            checkpoint=job.checkpoint,
        )

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
            and {
                "uri": job.spec.network.checkpoint,
                "sha256": job.checkpoint.sha256,
                "told": asdict(job.checkpoint),
            },
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
                checkpoint=_checkpoint_in(content),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                shown(uri), f"is not a job.json of refinenet-batch ({error}); give another `output`"
            ) from error


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that touch pixels or tables.

    What is not installed is left out: a small job needs no Ray, and a checkout runs as it is.
    """
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _checkpoint_in(content: Mapping[str, Any]) -> CheckpointInfo | None:
    told = (content.get("checkpoint") or {}).get("told")
    if told is None:
        return None
    for name in ("classes", "scales"):
        told[name] = told[name] and tuple(told[name])
    told["colours"] = told["colours"] and tuple(map(tuple, told["colours"]))
    return CheckpointInfo(**told)


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


def read_job(output: str, storage: Storage) -> tuple[JobSpec, Fingerprint]:
    """Return the spec and the fingerprint of the job that made an output.

    Args:
        output: URI of the output folder.
        storage: Access to it.

    Raises:
        OutputError: It is no output of ours, or of another version's.
        StorageError: It may not or cannot be read.
    """
    uri = join(output, JOB_FILE)
    if not storage.exists(uri):
        raise OutputError(shown(output), "has no job.json; give the `output` of a job that was run")
    try:
        content = json.loads(storage.read(uri))
        spec = JobSpec.from_mapping(content["spec"], source="its spec")
        fingerprint = dict(content["fingerprint"])
    except (ValueError, TypeError, KeyError, SpecError) as error:
        raise OutputError(
            shown(uri), f"is not a job.json of refinenet-batch, or is damaged: {error}"
        ) from error
    if fingerprint.get("table_version") != TABLE_VERSION:
        raise OutputError(
            shown(output),
            f"holds tables of version {fingerprint.get('table_version')}; this refinenet-batch "
            f"reads version {TABLE_VERSION}. Use the one that job.json tells under `versions`",
        )
    return spec, fingerprint
