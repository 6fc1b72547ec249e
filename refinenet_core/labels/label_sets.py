"""Label sets: a data set's classes, their colours, and how its published masks encode them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from refinenet_core.labels import class_tables as tables
from refinenet_core.labels.palettes import Colour, voc_colours

Encoding = Literal["indices", "palette", "indices_plus_one", "label_ids", "colours"]
"""How masks hold labels.

- `indices`: grey images of class ids.
- `palette`: palette images; the indices, not the colours, are class ids.
- `indices_plus_one`: grey images; 0 is void, and k stands for class k - 1.
- `label_ids`: grey images of the data set's own label ids, which `label_map` translates.
- `colours`: RGB images in the classes' colours.
"""


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set.

    Attributes:
        name: Short name, as job specs give it.
        classes: Class names; a class's position is its id.
        colours: RGB, 0 to 255, per class.
        ignore_index: Value of unlabelled pixels in the published masks; where these hold no class
            ids, the value that `label_map` gives such pixels.
        encoding: How the published masks hold labels.
        label_map: Class id or `ignore_index` by mask value; empty where masks hold class ids.
        ignore_colours: Colours of unlabelled pixels where masks are drawn in colours.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    ignore_index: int
    encoding: Encoding = "indices"
    label_map: Mapping[int, int] = field(default_factory=dict, hash=False)
    ignore_colours: tuple[Colour, ...] = ()


def label_set(name: str) -> LabelSet:
    """Return a built-in label set.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in _LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}; known are: {', '.join(list_label_sets())}")
    return _LABEL_SETS[name]


def list_label_sets() -> list[str]:
    """Return the names that `label_set` knows, sorted."""
    return sorted(_LABEL_SETS)


_VOID = 255  # in VOC's and Cityscapes' masks, and for every set whose masks have void as 0


def _with_voc_colours(
    name: str,
    classes: tuple[str, ...],
    encoding: Encoding,
    ignore_colours: tuple[Colour, ...] = (),
) -> LabelSet:
    """Return a set in the colours of VOC's palette, with which RefineNet draws most of them."""
    label_map = _shifted(len(classes)) if encoding == "indices_plus_one" else {}
    colours = voc_colours(len(classes))
    return LabelSet(name, classes, colours, _VOID, encoding, label_map, ignore_colours)


def _shifted(num_classes: int) -> dict[int, int]:
    """Map 0 to void and k to class k - 1."""
    return {0: _VOID} | {class_id + 1: class_id for class_id in range(num_classes)}


def _cityscapes_label_map() -> dict[int, int]:
    """Map the 34 label ids to train ids, and those outside the evaluation to void."""
    train_ids = {label: train_id for train_id, label in enumerate(tables.CITYSCAPES_LABEL_IDS)}
    return dict.fromkeys(range(34), _VOID) | train_ids


_LABEL_SETS = {
    labels.name: labels
    for labels in (
        _with_voc_colours("voc", tables.VOC, "palette", (tables.VOC_VOID_COLOUR,)),
        _with_voc_colours("person_part", tables.PERSON_PART, "indices"),
        # One published mask serves both: its 0 is everything else, void among 59 and a class of 60.
        _with_voc_colours("pascal_context_59", tables.PASCAL_CONTEXT_59, "indices_plus_one"),
        _with_voc_colours(
            "pascal_context_60", ("background", *tables.PASCAL_CONTEXT_59), "indices"
        ),
        _with_voc_colours("nyuv2_40", tables.NYUV2_40, "indices_plus_one"),
        _with_voc_colours("sun_rgbd_37", tables.SUN_RGBD_37, "indices_plus_one"),
        LabelSet(
            "ade20k",
            tuple(tables.ADE20K),
            tuple(tables.ADE20K.values()),
            _VOID,
            "indices_plus_one",
            _shifted(len(tables.ADE20K)),
        ),
        LabelSet(
            "cityscapes",
            tuple(tables.CITYSCAPES),
            tuple(tables.CITYSCAPES.values()),
            _VOID,
            "label_ids",
            _cityscapes_label_map(),
            tables.CITYSCAPES_VOID_COLOURS,
        ),
        LabelSet(
            "camvid",
            tuple(tables.CAMVID),
            tuple(tables.CAMVID.values()),
            ignore_index=11,
            ignore_colours=(tables.CAMVID_VOID_COLOUR,),
        ),
    )
}
