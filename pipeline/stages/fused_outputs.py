"""The outputs that a fusion averages: what they must have in common, and their rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any, Final

import pyarrow.parquet as pq

from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import OutputError, SpecError
from pipeline.output.output_folder import Output
from pipeline.output.part_file import fingerprint_of
from pipeline.output.part_name import Part
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.fingerprint import TABLE_VERSION, Fingerprint, digest_of
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import shown

ROW_COLUMNS: Final = (
    "index",
    "status",
    "error",
    "height",
    "width",
    "probabilities",
    "image_sha256",
)
_BATCH_ROWS: Final = 4  # whose probabilities are held at a time, of each output


@dataclass(frozen=True)
class FusionInput:
    """A run's output that is fused.

    Attributes:
        output: Its folder.
        spec: Its job, complete.
        fingerprint: What decided its results.
        weight: Of its probabilities, relative to the others'.
    """

    output: Output
    spec: JobSpec
    fingerprint: Fingerprint
    weight: float

    @property
    def name(self) -> str:
        """Its folder, as people type it."""
        return shown(self.output.uri)

    @property
    def digest(self) -> str:
        """SHA-256 of what decided its results."""
        return digest_of(self.fingerprint)

    @property
    def at_stride_four(self) -> bool:
        """Whether the stored probabilities are the network's own, not resized from another size."""
        inference = self.spec.inference
        return inference.scales == (1.0,) and inference.protocol == "native"


def read_inputs(spec: JobSpec, storage: Storage) -> list[FusionInput]:
    """Return the outputs that a spec fuses.

    Raises:
        OutputError: One is no output of ours, or of a run that stored no probabilities.
        StorageError: One cannot be read.
    """
    return [_read_input(Output(each.output, storage), each.weight) for each in spec.fuse or ()]


def fused_spec(spec: JobSpec, inputs: Sequence[FusionInput]) -> JobSpec:
    """Return a fusion's spec with what it shares with its outputs: data sets, and how they are cut.

    Raises:
        SpecError: It says otherwise than the outputs, which differ, or are incomplete.
        OutputError: An output's plan is not there.
    """
    first = inputs[0].spec
    if spec.output in {each.output.uri for each in inputs}:
        raise SpecError("output", (f"{shown(spec.output)} is one of those that are fused",))
    if spec.limit_images is not None:
        raise SpecError("limit_images", ("the images are those of the outputs; leave it out",))
    shared = {name: getattr(first, name) for name in ("part_images", "part_bytes", "limit_images")}
    spec = spec.model_copy(update={**shared, "datasets": spec.datasets or first.datasets})
    for each in inputs:
        for name, value in shared.items():
            if getattr(each.spec, name) != value:
                here = (
                    f"{each.name} has {name} {getattr(each.spec, name)}, {inputs[0].name} {value}"
                )
                raise SpecError("fuse", (f"{here}; give runs whose rows have the same places",))
        _check_datasets(spec, each)
    return spec


def fused_plan(dataset: DatasetSpec, spec: JobSpec, storage: Storage) -> DatasetPlan | None:
    """Return a data set's plan as the first output that is fused has it frozen.

    Returns:
        The plan; None where nothing is fused, or where the spec gives a data set of its own.

    Raises:
        OutputError: The output is none of ours.
        StorageError: It cannot be read.
    """
    if spec.fuse is None:
        return None
    first = read_inputs(spec, storage)[0]
    if dataset not in first.spec.datasets:
        return None
    return DatasetPlan(dataset.name, first.output.read_plan_table(dataset.name))


class InputRows:
    """The rows of one part in an output, read from front to back, a few at a time.

    Args:
        source: The output.
        part: The part.

    Raises:
        StorageError: The part is not there, or cannot be read.
        OutputError: It is another job's.
    """

    def __init__(self, source: FusionInput, part: Part) -> None:
        self.source = source
        uri = source.output.part_uri(part)
        self._opened: AbstractContextManager[IO[bytes]] = source.output.storage.open(uri)
        file = pq.ParquetFile(self._opened.__enter__(), pre_buffer=False)
        if fingerprint_of(file) != source.fingerprint:
            self.close()
            raise OutputError(shown(uri), "is a part of another run than its job.json tells")
        self._rows = _rows(file)
        self._ahead: Mapping[str, Any] | None = None  # read, and of an image not yet asked for

    def at(self, index: int) -> Mapping[str, Any] | None:
        """Return the row of an image, None if there is none; ask in ascending order."""
        while (row := self._ahead or next(self._rows, None)) is not None:
            self._ahead = row if row["index"] > index else None
            if row["index"] >= index:
                return None if self._ahead else row
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._opened.__exit__(None, None, None)


def _read_input(output: Output, weight: float) -> FusionInput:
    name = shown(output.uri)
    record = output.record()
    if record is None:
        raise OutputError(name, "has no job.json; give the `output` of a run")
    fingerprint = record.fingerprint
    if not fingerprint.get("probabilities"):
        raise OutputError(
            name, "holds no probabilities; run its job with `inference: {probabilities: true}`"
        )
    if fingerprint.get("protocol") == "fixed":
        raise OutputError(name, "is of a run with `protocol: fixed`, which sees a part of an image")
    if fingerprint.get("table_version") != TABLE_VERSION:
        raise OutputError(
            name,
            f"holds tables of version {fingerprint.get('table_version')}, not {TABLE_VERSION}",
        )
    content = json.loads(output.storage.read(output.job_uri))
    spec = JobSpec.from_mapping(content["spec"], source=f"the spec in {shown(output.job_uri)}")
    return FusionInput(output, spec, fingerprint, weight)


def _check_datasets(spec: JobSpec, source: FusionInput) -> None:
    """Refuse an output that lacks one of the data sets, has other classes or is not complete."""
    there = {dataset.name: dataset for dataset in source.spec.datasets}
    for dataset in spec.datasets:
        classes = dataset.label_set().classes
        if dataset.name not in there:
            raise SpecError("fuse", (f"{source.name} has no dataset {dataset.name!r}",))
        if there[dataset.name].label_set().classes != classes:
            raise SpecError("fuse", (f"{source.name}: {dataset.name!r} has other classes",))
        plan = source.output.read_plan(dataset.name)
        missing = source.output.committed(plan).missing_files() if plan else ["its plan"]
        if missing:
            raise OutputError(
                source.name, f"is not complete: {missing[0]} is missing; run its job again first"
            )


def _rows(file: pq.ParquetFile) -> Iterator[Mapping[str, Any]]:
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(ROW_COLUMNS)):
        yield from batch.to_pylist()
