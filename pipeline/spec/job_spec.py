"""The job spec: what a user asks for, validated."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import SpecError
from pipeline.spec.credentials import check_locations, check_storage_options
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.problems import describe_problems
from pipeline.spec.section import Section, Uri
from refinenet_core.metrics.scores import Rule

MIB = 1 << 20
SMALLEST_TILE_PIXELS = 1 << 18  # as in `prediction.tiling`, whose import is PyTorch's


Scale = Annotated[float, Field(gt=0, le=8)]


class ModelSpec(Section):
    """Which network, and its weights; what is left out is what the checkpoint tells."""

    checkpoint: Uri
    """The weights file."""
    name: str | None = None
    """The network, one of `refinenet-batch models`."""
    num_classes: Annotated[int, Field(ge=1, le=255)] | None = None
    """Number of classes."""
    poolings: PositiveInt | None = None
    """Poolings of each chain; 4 where the checkpoint does not tell."""
    improved_pooling: bool | None = None
    """Convolve before pooling, as the authors' later models do."""


class InferenceSpec(Section):
    """How label maps are predicted."""

    scales: Annotated[tuple[Scale, ...], Field(min_length=1)] = (1.0,)
    """Factors on the image's sides, whose probabilities are averaged."""
    flip: bool = False
    """Average with the mirrored image as well."""
    protocol: Literal["native", "authors", "authors_cityscapes", "fixed"] = "native"
    """How scales are averaged: see Checkpoints and networks."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on a GPU that has it, else float32."""
    batch_pixels: PositiveInt | None = None
    """Pixels in one forward pass; only images of equal size share one. Left out: 2²² on a GPU, 2¹⁷
    on a CPU."""
    max_pixels_per_pass: Annotated[int, Field(ge=SMALLEST_TILE_PIXELS)] | None = None
    """A larger image, at its largest scale, is predicted in overlapping tiles of half as many
    pixels. Left out: 2²⁴ on a GPU, 2²² on a CPU."""
    probabilities: bool = False
    """Also store the mean probabilities of all classes, at a quarter of the size."""


class FusedOutput(Section):
    """A run's output whose probabilities are averaged with others'; plain text is its location."""

    output: Uri
    """The run's output folder; its `inference` had `probabilities: true`."""
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Its weight in the mean."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"output": value} if isinstance(value, str) else value


class MetricsSpec(Section):
    """What is scored, and how."""

    rule: Rule = "union_present"
    """Which classes the mIoU averages: see Scores."""
    boundary_iou: bool = False
    """Also count how well contours agree, for the boundary IoU."""
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 1000
    """Resamples of the images, behind the mIoU's confidence interval."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Another one gives other resamples."""


class Tolerance(Section):
    """How many images may fail: a count, or below 1 a fraction of a run's images."""

    failed_images: Annotated[float, Field(ge=0)] = 0
    """A count, or below 1 a fraction of the images."""

    def allows(self, failed: int, images: int) -> bool:
        """Say whether `failed` of `images` is within the tolerance."""
        limit = self.failed_images
        return failed <= (limit * images if 0 < limit < 1 else limit)


class ActorsSpec(Section):
    """How many actors the pool has at least and at most."""

    min: PositiveInt = 1
    """Actors that are asked for at once."""
    max: PositiveInt
    """Actors at most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, above max, which is {self.max}")
        return self


class ResourcesSpec(Section):
    """What the run may use; nothing here changes a result but the threads' last bits."""

    actors: ActorsSpec | None = None
    """How many actors. Left out: one per GPU, or one on a CPU; without `model` up to one per
    core."""
    gpus_per_actor: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """GPUs of each actor, fractions too; 0 runs on the CPU."""
    threads_per_actor: PositiveInt | None = None
    """CPU threads of each actor. Left out: the cores over the actors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`cuda`: without a GPU the job is refused. `cpu`: predict on the CPU, also with
    `gpus_per_actor` above 0, which then says only where actors are. `auto`: a GPU if actors have
    one."""
    executor: Literal["auto", "local", "ray"] = "auto"
    """What runs the stages. `local`: this process and a child. `ray`: Ray. `auto`: `local` for at
    most 1,000 images, on a machine with at most one GPU, without an address."""

    @model_validator(mode="after")
    def _of_one_mind(self) -> Self:
        if self.device == "cuda" and self.gpus_per_actor == 0:
            raise ValueError(
                "device is 'cuda', but gpus_per_actor is 0; leave out one of the two, or give "
                "each actor a GPU or a part of one"
            )
        return self


class JobSpec(Section):
    """A batch segmentation job, or without `model` one on what exists already.

    That is the evaluation of masks, if the datasets have `predictions`, or the fusion of several
    outputs, by `fuse`.

    Locations are absolute URIs after validation, plain paths having been taken from the current
    folder.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """The job's name, for people."""
    model: ModelSpec | None = None
    """The network and its weights. Leave it out to score masks, or to fuse."""
    inference: InferenceSpec = InferenceSpec()
    """How label maps are predicted."""
    fuse: Annotated[tuple[FusedOutput, ...], Field(min_length=2)] | None = None
    """In place of `model`: outputs whose stored probabilities are averaged; plain text is an
    output."""
    datasets: Annotated[tuple[DatasetSpec, ...], Field(min_length=1)] = ()
    """The data sets; with `fuse`, by default those of the first output."""
    output: Uri
    """Folder for the results."""
    part_images: PositiveInt = 256
    """Images that are committed at a time, at most."""
    part_bytes: Annotated[ByteSize, Field(gt=0)] = ByteSize(64 * MIB)
    """Encoded bytes that are committed at a time, at most; a larger image is alone."""
    limit_images: PositiveInt | None = None
    """Take the first images of each dataset."""
    metrics: MetricsSpec = MetricsSpec()
    """What is scored, and how."""
    tolerance: Tolerance = Tolerance()
    """How many images may fail."""
    resources: ResourcesSpec = ResourcesSpec()
    """What the run may use."""
    storage_options: Annotated[
        dict[str, dict[str, Any]],
        BeforeValidator(lambda value: value or {}),
        Field(default_factory=dict),
    ]
    """Options by protocol, as fsspec takes them: `{s3: {endpoint_url: …}}`. No credentials."""

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read and validate a spec.

        Raises:
            SpecError: The file is missing, is not YAML, or a field is wrong; every problem is
                named with the field's path, the value and what would be right.
        """
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(str(path), (f"cannot be read: {error.strerror}",)) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SpecError(str(path), (f"is not YAML: {error}",)) from error
        return cls.from_mapping(content, source=str(path))

    @classmethod
    def from_mapping(cls, content: Any, *, source: str = "spec") -> Self:
        """Validate a spec that is a mapping already.

        Raises:
            SpecError: A field is wrong.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise SpecError(source, describe_problems(error, cls)) from error

    @property
    def network(self) -> ModelSpec:
        """The model of a segmentation job.

        Raises:
            ValueError: The job has none: it scores masks.
        """
        if self.model is None:
            raise ValueError(f"job {self.name!r} has no model")
        return self.model

    @property
    def locations(self) -> tuple[str, ...]:
        """All that the job reads and writes, as the spec names it."""
        read = [self.model.checkpoint] if self.model else []
        read += [each.output for each in self.fuse or ()]
        for dataset in self.datasets:
            read += [dataset.images, *([dataset.targets] if dataset.targets else [])]
        return (*read, self.output)

    def limited(self, images: int) -> Self:
        """Return the job that takes the first images of each dataset, with an output of its own."""
        return self.model_copy(
            update={"limit_images": images, "output": f"{self.output}-limit{images}"}
        )

    @field_validator("storage_options")
    @classmethod
    def _no_secrets(cls, options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        check_storage_options(options)
        return options

    @model_validator(mode="after")
    def _no_passwords(self) -> Self:
        check_locations(self.locations)
        return self

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if not self.datasets and self.fuse is None:
            raise ValueError("datasets: missing; this field is required")
        if self.model is not None and self.fuse is not None:
            raise ValueError("fuse: outputs are fused without a model; leave out one of the two")
        if self.model is None and self.inference != InferenceSpec():
            raise ValueError("inference: there is none without a model; leave it out")
        for dataset in self.datasets:
            self._check_kind(dataset)
        return self

    def _check_kind(self, dataset: DatasetSpec) -> None:
        scored = dataset.predictions is not None
        if scored and (self.model is not None or self.fuse is not None):
            raise ValueError(
                f"dataset {dataset.name!r} has `predictions`, which are scored without `model` or "
                "`fuse`; leave out one of the two"
            )
        if self.model is not None:
            return
        if not scored and self.fuse is None:
            raise ValueError(
                "model: missing; only masks that exist already are scored without one, and "
                f"dataset {dataset.name!r} has no `predictions`"
            )
        if dataset.classes is None:
            raise ValueError(f"dataset {dataset.name!r}: `classes` are missing, and no model's")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [dataset.name.lower() for dataset in self.datasets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two datasets are called {name!r}; names must differ")
        for dataset in self.datasets:
            if dataset.classes is None or not self.model or self.model.num_classes is None:
                continue
            classes = len(dataset.label_set().classes)
            if classes != self.model.num_classes:
                raise ValueError(
                    f"dataset {dataset.name!r} has {classes} classes, model.num_classes is "
                    f"{self.model.num_classes}; they must agree"
                )
        return self
