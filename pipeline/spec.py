"""The job spec: what a user asks for, validated."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import SpecError
from pipeline.spec_problems import describe_problems
from pipeline.uris import absolute_uri, protocol_of
from refinenet_core.label_sets import LabelSet, label_set
from refinenet_core.palettes import Colour, voc_colours

MIB = 1 << 20
_SECRETS = ("secret", "password", "token", "key", "credential", "connection_string", "sas")


def _reachable(uri: str) -> str:
    uri = absolute_uri(uri)
    if protocol_of(uri) == "memory":
        raise ValueError("memory:// is private to one process; give storage all workers can reach")
    return uri


Uri = Annotated[str, Field(min_length=1), AfterValidator(_reachable)]
DatasetName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,62}$")]
Scale = Annotated[float, Field(gt=0, le=8)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSpec(_Section):
    """Which network, and its weights; what is left out is what the checkpoint tells."""

    checkpoint: Uri
    name: str | None = None
    num_classes: Annotated[int, Field(ge=1, le=255)] | None = None
    poolings: PositiveInt | None = None
    improved_pooling: bool | None = None


class InferenceSpec(_Section):
    """How label maps are predicted."""

    scales: Annotated[tuple[Scale, ...], Field(min_length=1)] = (1.0,)
    flip: bool = False
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_pixels: PositiveInt | None = None


class ClassSpec(_Section):
    """A class by name, with the colour that its pixels get in masks."""

    name: Annotated[str, Field(min_length=1)]
    colour: tuple[int, int, int]

    @field_validator("colour")
    @classmethod
    def _channels(cls, colour: Colour) -> Colour:
        if any(not 0 <= channel <= 255 for channel in colour):
            raise ValueError("colours are red, green and blue, 0 to 255 each")
        return colour


class DatasetSpec(_Section):
    """Where a data set's images and targets are, and what its labels mean."""

    name: DatasetName
    format: Literal["folder"] = "folder"
    images: Uri
    targets: Uri | None = None
    targets_missing: Literal["error", "row"] = "error"
    classes: str | tuple[str, ...] | tuple[ClassSpec, ...] | None = None
    ignore_index: Annotated[int, Field(ge=0, le=255)] | None = None

    @field_validator("targets")
    @classmethod
    def _one_target_per_image(cls, targets: str | None) -> str | None:
        if targets and not any(name in targets for name in ("{stem}", "{relpath}")):
            raise ValueError(
                "holds neither {stem} nor {relpath}, so that all images would share one target; "
                "write for example .../{stem}.png"
            )
        return targets

    @field_validator("classes")
    @classmethod
    def _known_label_set(cls, classes: Any) -> Any:
        if isinstance(classes, str):
            label_set(classes)
        return classes

    def label_set(self) -> LabelSet:
        """Return class names, colours and the value of unlabelled pixels.

        Raises:
            ValueError: The spec has no classes; `completion.complete_spec` gives it some.
        """
        if self.classes is None:
            raise ValueError(f"dataset {self.name!r} has no classes yet")
        if isinstance(self.classes, str):
            known = label_set(self.classes)
            return known if self.ignore_index is None else _ignoring(known, self.ignore_index)
        names = tuple(c.name if isinstance(c, ClassSpec) else c for c in self.classes)
        colours = tuple(
            c.colour if isinstance(c, ClassSpec) else default
            for c, default in zip(self.classes, voc_colours(len(names)), strict=True)
        )
        return LabelSet(
            self.name, names, colours, 255 if self.ignore_index is None else self.ignore_index
        )


def _ignoring(known: LabelSet, ignore_index: int) -> LabelSet:
    """Return a label set with another value for unlabelled pixels."""
    label_map = {
        value: ignore_index if meaning == known.ignore_index else meaning
        for value, meaning in known.label_map.items()
    }
    return replace(known, ignore_index=ignore_index, label_map=label_map)


class Tolerance(_Section):
    """How many images may fail: a count, or below 1 a fraction of a run's images."""

    failed_images: Annotated[float, Field(ge=0)] = 0

    def allows(self, failed: int, images: int) -> bool:
        """Say whether `failed` of `images` is within the tolerance."""
        limit = self.failed_images
        return failed <= (limit * images if 0 < limit < 1 else limit)


class ActorsSpec(_Section):
    """How many actors the pool has at least and at most."""

    min: PositiveInt = 1
    max: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, above max, which is {self.max}")
        return self


class ResourcesSpec(_Section):
    """What the run may use; nothing here changes a result but the threads' last bits."""

    actors: ActorsSpec | None = None
    gpus_per_actor: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    threads_per_actor: PositiveInt | None = None


class JobSpec(_Section):
    """A batch segmentation job.

    Attributes are the fields of the YAML file that the README documents; locations are absolute
    URIs after validation, plain paths having been taken from the current folder.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    model: ModelSpec
    inference: InferenceSpec = InferenceSpec()
    datasets: Annotated[tuple[DatasetSpec, ...], Field(min_length=1)]
    output: Uri
    part_images: PositiveInt = 256
    part_bytes: Annotated[ByteSize, Field(gt=0)] = ByteSize(64 * MIB)
    limit_images: PositiveInt | None = None
    tolerance: Tolerance = Tolerance()
    resources: ResourcesSpec = ResourcesSpec()
    storage_options: Annotated[
        dict[str, dict[str, Any]], BeforeValidator(lambda value: value or {})
    ] = {}

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

    def limited(self, images: int) -> Self:
        """Return the job that takes the first images of each dataset, with an output of its own."""
        return self.model_copy(
            update={"limit_images": images, "output": f"{self.output}-limit{images}"}
        )

    @field_validator("storage_options")
    @classmethod
    def _no_secrets(cls, options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for protocol, values in options.items():
            if protocol != protocol_of(f"{protocol}://"):
                raise ValueError(f"{protocol!r} is called {protocol_of(protocol + '://')!r} here")
            for name in values:
                if any(word in name.lower() for word in _SECRETS):
                    raise ValueError(
                        f"{protocol}.{name} looks like a credential, which must not stand in a "
                        "spec; set it in the environment of the driver and the workers"
                    )
        return options

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [dataset.name.lower() for dataset in self.datasets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two datasets are called {name!r}; names must differ")
        for dataset in self.datasets:
            if dataset.classes is None or self.model.num_classes is None:
                continue
            classes = len(dataset.label_set().classes)
            if classes != self.model.num_classes:
                raise ValueError(
                    f"dataset {dataset.name!r} has {classes} classes, model.num_classes is "
                    f"{self.model.num_classes}; they must agree"
                )
        return self
