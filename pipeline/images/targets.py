"""From an encoded target to class ids, or to the reason why not."""

from contextlib import closing
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from pipeline.errors import DecodeError
from pipeline.images.class_ids import ClassIds, LabelsError, LabelTable, colour_of, refuse
from pipeline.images.decoding import INVERSE_ORIENTATION, Array, guard, open_image, turn
from pipeline.spec.dataset_spec import LabelsSpec
from refinenet_core import LabelSet

_SHOWN = 10


class TargetReader:
    """Read the targets of a data set.

    Args:
        labels: The classes, their colours, and how the published masks hold them.
        spec: How these targets hold them.
        of: What they are the targets of, for messages.
    """

    def __init__(self, labels: LabelSet, spec: LabelsSpec, *, of: str = "image") -> None:
        self.labels = labels
        self.spec = spec
        self._of = of
        self._table = LabelTable(labels, spec, "labels")

    def read(
        self,
        data: bytes,
        size: tuple[int, int],
        orientation: int = 1,
        *,
        exif_applied: bool = False,
    ) -> ClassIds:
        """Decode a target and translate it.

        Args:
            data: Encoded target.
            size: Height and width of the image as it was predicted, which the target must have.
            orientation: EXIF orientation of the image, 1 to 8.
            exif_applied: Whether the image was turned by it.

        Returns:
            Class ids, shape `size`, uint8, each below the number of classes or `ignore_index`.

        Raises:
            DecodeError: "bad_target", with what is wrong.
        """
        try:
            turning = self._turning(orientation, exif_applied=exif_applied)
            with closing(open_image(data, None)) as image:
                self._check_size(image, size, orientation, turning)
                stored = guard(lambda: self._table.stored(image, data))
            return turn(self._translate(stored), turning)
        except LabelsError as error:
            raise DecodeError("bad_target", f"target {error.reason}") from error
        except DecodeError as error:
            raise DecodeError("bad_target", f"target: {error.reason}") from error

    def _turning(self, orientation: int, *, exif_applied: bool) -> int:
        """Return the orientation by which a target is to be turned."""
        if orientation == 1:
            return 1
        if self.spec.frame is None:
            refuse(
                f"may lie as its image is stored or upright: the image has EXIF orientation "
                f"{orientation}; write `labels: {{frame: stored}}` or `labels: {{frame: upright}}`"
            )
        if self.spec.frame == "stored":
            return orientation if exif_applied else 1
        return 1 if exif_applied else INVERSE_ORIENTATION.get(orientation, orientation)

    def _check_size(
        self, image: ImageFile.ImageFile, size: tuple[int, int], orientation: int, turning: int
    ) -> None:
        """Compare sizes by the header, before memory is spent."""
        found = (image.width, image.height) if turning >= 5 else (image.height, image.width)
        if found == size:
            return
        turned = ""
        if orientation != 1:
            turned = (
                f" (by `labels: {{frame: {self.spec.frame}}}`, the image's EXIF orientation "
                f"being {orientation})"
            )
        refuse(f"is {found[1]}x{found[0]} pixels, its {self._of} {size[1]}x{size[0]}{turned}")

    def _translate(self, stored: Array) -> ClassIds:
        ids = self._table.look_up(stored)
        if not ids.all():
            self._refuse_unknown(stored, ids == 0)
        return (ids - 1).astype(np.uint8)

    def _refuse_unknown(self, stored: Array, unknown: npt.NDArray[np.bool_]) -> NoReturn:
        """Name what the table does not hold, where the first is, and what may be meant."""
        values = [int(value) for value in np.unique(stored[unknown])]
        y, x = divmod(int(unknown.argmax()), stored.shape[1])
        where = f"the first at x={x}, y={y}"
        if self._table.by_colour:
            shown = [colour_of(value) for value in values[:_SHOWN]]
            colours = [list(colour) for colour in shown]
            refuse(
                f"holds {', '.join(map(str, shown))}, none of the colours of the "
                f"{len(self.labels.classes)} classes and not of unlabelled pixels; {where}; if "
                f"they are unlabelled, write `labels: {{ignore_colours: {colours}}}`"
            )
        known = f"the {len(self.labels.classes)} classes and not ignore_index"
        if self.spec.label_map is not None:
            known = "the values in labels.label_map and not ignore_index"
        refuse(
            f"holds {values[:_SHOWN]}, which is none of {known} {self.labels.ignore_index}; {where}"
            f"; {self._remedy(values)}"
        )

    def _remedy(self, values: list[int]) -> str:
        if values == [len(self.labels.classes)]:
            return "if 0 is unlabelled in it, write `labels: {reduce_zero_label: true}`"
        if len(values) == 1 and 0 <= values[0] <= 255:
            return f"if that is unlabelled, write `ignore_index: {values[0]}`"
        return "if they stand for classes, say for which by `labels: {label_map: ...}`"
