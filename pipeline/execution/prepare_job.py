"""Preparing a job: what it starts from is read, everything that decides results is fixed."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import refinenet_core
from pipeline.datasets.listed_locations import listing_field
from pipeline.errors import SpecError
from pipeline.output.job_record import JobRecord
from pipeline.output.output_names import output_files
from pipeline.spec.checkpoint import complete_spec, load_model
from pipeline.spec.fingerprint import (
    common_fingerprint,
    fusing_fingerprint,
    scoring_fingerprint,
    segmenting_fingerprint,
)
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job, device_of
from pipeline.stages.fused_outputs import fused_spec, read_inputs
from pipeline.stages.hardware import count_gpus
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

if TYPE_CHECKING:  # PyTorch
    from refinenet_core.weights.weight_files import WeightFile


def prepare_job(
    spec: JobSpec, storage: Storage, *, gpus: int | None = None, known: JobRecord | None = None
) -> Job:
    """Check everything about a job that can be checked without its images.

    Args:
        spec: What the user asked for; what it leaves out is taken from the checkpoint, or from
            the outputs that it fuses.
        storage: Access to them.
        gpus: GPUs that the run can use; by default those of this machine.
        known: The record of what is in the output. A checkpoint that the same job has loaded
            before is not loaded again, which saves the seconds that PyTorch takes.

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
        outputs = [(each.digest, each.weight) for each in inputs]
        return Job(spec, None, 0, fusing_fingerprint(outputs) | common_fingerprint(spec))
    _check_output(spec)
    if spec.model is None:
        return Job(spec, None, 0, scoring_fingerprint(spec) | common_fingerprint(spec))
    gpus = count_gpus() if gpus is None else gpus
    gpus_per_actor = _gpus_per_actor(spec, gpus)
    location = spec.model.checkpoint
    checkpoint = _Checkpoint(storage.read(location), shown(location), known)
    spec = complete_spec(spec, checkpoint.info)
    precision = refinenet_core.resolve_precision(
        spec.inference.precision, device_of(spec, gpus_per_actor)
    )
    fingerprint = segmenting_fingerprint(
        spec, checkpoint.info.sha256, precision
    ) | common_fingerprint(spec)
    if known is None or fingerprint != known.fingerprint:
        checkpoint.check_that_it_loads(spec)
    return Job(spec, checkpoint.info, gpus_per_actor, fingerprint)


class _Checkpoint:
    """A checkpoint's bytes, which PyTorch reads only if nobody has read the same before.

    Args:
        data: The file.
        source: Its name, in messages.
        known: The record of a job that may have loaded it.
    """

    def __init__(self, data: bytes, source: str, known: JobRecord | None) -> None:
        self._file: WeightFile | None = None
        self._data, self._source = data, source
        told = known.checkpoint if known else None
        if told and told.sha256 == hashlib.sha256(data).hexdigest():
            self.info = replace(told, source=source)
        else:
            self.info = refinenet_core.inspect_checkpoint(self._read())

    def check_that_it_loads(self, spec: JobSpec) -> None:
        """Load it into the network of a complete spec.

        Raises:
            CheckpointError: It does not fit the model.
        """
        load_model(spec, self._read())

    def _read(self) -> "WeightFile":
        from refinenet_core.weights.weight_files import read_weight_file  # noqa: PLC0415 - PyTorch

        self._file = self._file or read_weight_file(self._data, self._source)
        return self._file


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
