"""The job: a spec made definite, and the fingerprint by which its results are known."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.spec.fingerprint import Fingerprint
from pipeline.spec.job_spec import JobSpec

if TYPE_CHECKING:
    from refinenet_core import CheckpointInfo


@dataclass(frozen=True)
class Job:
    """A spec with everything resolved that results depend on.

    Attributes:
        spec: What the user asked for, complete.
        checkpoint: What the checkpoint tells of itself, and its digest; None without a model.
        gpus_per_actor: GPUs of each actor; 0 runs on the CPU.
        fingerprint: Everything that decides the bytes of the results; strict JSON.
    """

    spec: JobSpec
    checkpoint: "CheckpointInfo | None"
    gpus_per_actor: float
    fingerprint: Fingerprint = field(repr=False)

    @property
    def device(self) -> str:
        """Device of each actor."""
        return device_of(self.spec, self.gpus_per_actor)


def device_of(spec: JobSpec, gpus_per_actor: float) -> str:
    """Return the device on which actors with so many GPUs predict."""
    return "cuda" if gpus_per_actor and spec.resources.device != "cpu" else "cpu"
