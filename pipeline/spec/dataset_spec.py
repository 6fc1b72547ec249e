"""A data set in a job spec: where its images and targets are, and what its labels mean."""

import re
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from pipeline.spec.section import Section, Uri
from pipeline.storage.uris import expand_braces
from refinenet_core.labels.label_sets import LabelSet, label_set
from refinenet_core.labels.palettes import voc_colours

TARGET_PLACEHOLDERS: Final = ("{relpath}", "{stem}")


DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's own limit, at which 24-bit pixels fill half a GiB

DATASET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}", re.ASCII)
DatasetName = Annotated[str, Field(pattern=f"^{DATASET_NAME.pattern}$")]
Channel = Annotated[int, Field(ge=0, le=255)]
ClassId = Annotated[int, Field(ge=0, le=255)]
Extension = Annotated[str, Field(pattern=r"^[^./][^/]*$")]
Format = Literal["folder", "webdataset", "manifest", "parquet"]


def _check_translation(spec: "LabelsSpec | PredictionsSpec") -> None:
    """Refuse two translations at once; it stands here because `LabelsSpec()` is a default below."""
    if spec.label_map is not None and spec.reduce_zero_label:
        raise ValueError("label_map and reduce_zero_label exclude each other; give the map")
    translated = spec.label_map is not None or spec.reduce_zero_label
    if translated and spec.encoding in ("colours", "published"):
        raise ValueError("label_map and reduce_zero_label are for masks that are indices")


class ClassSpec(Section):
    """A class by name, with the colour that its pixels get in masks."""

    name: Annotated[str, Field(min_length=1)]
    """The class's name."""
    colour: tuple[Channel, Channel, Channel]
    """Red, green, blue."""


class MembersSpec(Section):
    """Which members of a tar's samples are image and target, by what follows the key's dot.

    Without `image` it is the sample's one member that is an image by its name.
    """

    image: Extension | None = None
    """The image's, such as `jpg`."""
    target: Extension | None = None
    """The target's, such as `seg.png`; none without it."""


class ColumnsSpec(Section):
    """Which columns of a manifest or table hold what.

    `image` and `target` hold URIs, encoded bytes, or structs of `bytes` and `path`.
    """

    image: str = "image"
    """The images' column."""
    target: str | None = None
    """The targets' column; none without it."""
    key: str | None = None
    """The column of names; by default the image's path or the row's number."""


class LabelsSpec(Section):
    """How targets hold labels; what is left out is as the label set's own masks are."""

    encoding: Literal["indices", "colours"] | None = None
    """`indices`: grey values or palette indices, which are class ids even where the label set's own
    masks hold others. `colours`: the classes' colours."""
    reduce_zero_label: bool = False
    """0 is unlabelled, and k stands for class k - 1. It takes the place of what the label set's own
    masks hold, so that it never shifts twice."""
    label_map: dict[Annotated[int, Field(ge=0, le=65535)], ClassId] | None = None
    """Class id, or `ignore_index`, by the value that a target holds, likewise. Values that it
    leaves out are bad, but for `ignore_index` itself."""
    ignore_colours: tuple[tuple[Channel, Channel, Channel], ...] | None = None
    """Colours of unlabelled pixels, with `encoding: colours`; by default the label set's own."""
    frame: Literal["stored", "upright"] | None = None
    """Which way round the targets of images with an EXIF orientation are: as the image is `stored`,
    or `upright`. Without it they are `bad_target`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_translation(self)
        if self.encoding != "colours" and self.ignore_colours is not None:
            raise ValueError("ignore_colours is for targets with `encoding: colours`")
        return self


class PredictionsSpec(Section):
    """How masks that exist already hold labels, where they are scored in place of a model's.

    A value or colour that stands for no class is a prediction outside the classes: a miss.
    """

    encoding: Literal["indices", "colours", "published"] = "indices"
    """`indices`: grey values or palette indices, which are class ids. `colours`: the classes'
    colours. `published`: as the label set's own masks hold them."""
    reduce_zero_label: bool = False
    """0 is no class, and k stands for class k - 1."""
    label_map: dict[Annotated[int, Field(ge=0, le=65535)], ClassId] | None = None
    """Class id, or `ignore_index` for none, by the value that a mask holds."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_translation(self)
        return self

    def as_labels(self) -> LabelsSpec:
        """Return the same in the words that are used of targets."""
        return LabelsSpec(
            encoding=None if self.encoding == "published" else self.encoding,
            reduce_zero_label=self.reduce_zero_label,
            label_map=self.label_map,
        )


class DecodeSpec(Section):
    """How images are decoded."""

    exif_transpose: bool = True
    """Turn images upright by their EXIF orientation."""
    max_pixels: PositiveInt = DEFAULT_MAX_PIXELS
    """An image of more pixels is `too_large`."""
    timeout_s: PositiveFloat = 60
    """An image that takes longer to decode is `crashed`, in seconds."""


class DatasetSpec(Section):
    """A data set."""

    name: DatasetName
    """Its name: letters, digits, `.`, `_`, `-`. It is the mask table's partition."""
    format: Format = "folder"
    """How its images are kept."""
    images: Uri
    """`folder`: a glob (`*`, `**`), or a folder, which is every file below it. The others: files,
    by globs or brace ranges (`train-{0000..0127}.tar`)."""
    targets: Uri | None = None
    """The target of each image, as a pattern: `{stem}` is the image's file name without extension,
    `{relpath}` its path below the glob's fixed part. For `folder`, and for `parquet` with encoded
    images, by the row's key."""
    targets_missing: Literal["error", "row"] = "error"
    """Where targets are listed beforehand. `error`: end before the run. `row`: such an image is not
    scored."""
    members: MembersSpec | None = None
    """`webdataset`: which members of a sample are image and target, by their extensions."""
    columns: ColumnsSpec | None = None
    """`manifest`, `parquet`: which columns are image, target and key."""
    classes: str | tuple[str, ...] | tuple[ClassSpec, ...] | None = None
    """A built-in label set, a list of names, or a list of `{name, colour: [r, g, b]}`. Left out:
    the checkpoint's, if it is of ours."""
    ignore_index: ClassId | None = None
    """Target value of unlabelled pixels. Left out: the label set's (`camvid` 11, the others 255),
    the checkpoint's, or 255."""
    labels: LabelsSpec = LabelsSpec()
    """How targets hold labels; by default as the label set's own masks do."""
    predictions: PredictionsSpec | None = None
    """In a job without `model`: `images` are masks, and this is how they hold labels."""
    decode: DecodeSpec = DecodeSpec()
    """How images are decoded."""

    @property
    def has_targets(self) -> bool:
        """Whether predictions are scored."""
        return (
            self.targets is not None
            or (self.members is not None and self.members.target is not None)
            or (self.columns is not None and self.columns.target is not None)
        )

    @model_validator(mode="after")
    def _braces_expand(self) -> Self:
        if self.format != "folder":
            expand_braces(self.images)
        return self

    @field_validator("targets")
    @classmethod
    def _one_target_per_image(cls, targets: str | None) -> str | None:
        if targets and not any(name in targets for name in TARGET_PLACEHOLDERS):
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

    @model_validator(mode="after")
    def _fields_fit_the_format(self) -> Self:
        for field, formats, instead in (
            ("targets", ("folder", "parquet"), "`members` or `columns` say where targets are"),
            ("members", ("webdataset",), "it is for tars"),
            ("columns", ("manifest", "parquet"), "it is for manifests and tables"),
        ):
            if getattr(self, field) is not None and self.format not in formats:
                raise ValueError(f"{field} does not go with format {self.format!r}; {instead}")
        if self.targets is not None and self.columns is not None and self.columns.target:
            raise ValueError("targets and columns.target both say where targets are; give one")
        return self

    @model_validator(mode="after")
    def _labels_fit_the_classes(self) -> Self:
        if self.classes is None:  # the checkpoint tells them: `complete_spec` validates again
            return self
        labels = self.label_set()
        if labels.ignore_index < len(labels.classes):
            name = labels.classes[labels.ignore_index]
            raise ValueError(
                f"ignore_index is {labels.ignore_index}, which is the class {name!r}: all its "
                "pixels would be left out of every score. Leave it out, or give the value of "
                "unlabelled pixels, which is no class's; 255 is usual"
            )
        given = {"labels": self.labels}
        if self.predictions is not None:
            given["predictions"] = self.predictions.as_labels()
        for section, spec in given.items():
            _check_label_map(labels, spec, section)
            if spec.encoding == "colours":
                _check_colours(labels, spec, section)
        return self

    def label_set(self) -> LabelSet:
        """Return class names, colours and the value of unlabelled pixels.

        Raises:
            ValueError: The spec has no classes; `checkpoint.complete_spec` gives it some.
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


def _check_label_map(labels: LabelSet, spec: LabelsSpec, section: str) -> None:
    allowed = {*range(len(labels.classes)), labels.ignore_index}
    unknown = sorted(set((spec.label_map or {}).values()) - allowed)
    if unknown:
        raise ValueError(
            f"{section}.label_map gives {unknown}, none of the {len(labels.classes)} classes (0 to "
            f"{len(labels.classes) - 1}) and not ignore_index {labels.ignore_index}"
        )


def _check_colours(labels: LabelSet, spec: LabelsSpec, section: str) -> None:
    owners: dict[tuple[int, int, int], str] = {}
    for name, colour in zip(labels.classes, labels.colours, strict=True):
        if colour in owners:
            raise ValueError(
                f"classes {owners[colour]!r} and {name!r} share the colour {colour}, so that "
                f"{section} cannot go by colour; give masks that are indices, or list the classes "
                "with colours that differ"
            )
        owners[colour] = name
    for colour in spec.ignore_colours or ():
        if colour in owners:
            raise ValueError(
                f"labels.ignore_colours has {colour}, which is the colour of {owners[colour]!r}"
            )
