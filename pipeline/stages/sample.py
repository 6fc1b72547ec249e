"""An image on its way through an actor, its labels, and what the actor knows of its dataset."""

from dataclasses import dataclass

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.images.class_ids import ClassIds
from pipeline.images.targets import TargetReader
from pipeline.output.mask_table import MaskRow
from pipeline.spec.dataset_spec import DatasetSpec
from refinenet_core.labels.palettes import png_palette


@dataclass
class Sample:
    """An image on its way through the actor: its encoded bytes, its row, what was decoded.

    Attributes:
        header_pixels: Width times height by the header; 0 for one that cannot be decoded.
        orientation: EXIF orientation of the image, 1 to 8.
    """

    encoded: EncodedImage
    row: MaskRow
    header_pixels: int = 0
    orientation: int = 1
    target: ClassIds | None = None


@dataclass(frozen=True)
class LabelMap:
    """The labels of an image.

    Attributes:
        labels: Class ids, shape (H, W), uint8.
        seen: Where in it labels were given; what lies elsewhere is in no count.
    """

    labels: ClassIds
    seen: tuple[slice, slice] = (slice(None), slice(None))


class KnownDataset:
    """What the actor knows of a data set, made once."""

    def __init__(self, spec: DatasetSpec, *, boundary_iou: bool) -> None:
        self.name = spec.name
        self.boundary_iou = boundary_iou
        self.decode = spec.decode
        self.has_targets = spec.has_targets
        self.labels = spec.label_set()
        self.palette = png_palette(self.labels.colours)
        of = "image" if spec.predictions is None else "prediction"
        self.targets = TargetReader(self.labels, spec.labels, of=of)
