"""Run lengths of a label map's classes, and their text as COCO compresses it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """Where a class is in a label map (H, W) that is read column by column.

    Attributes:
        starts: First place of each run, shape (N,); place k is row k % H of column k // H.
        ends: The place behind each run, shape (N,).
        height: H.
        width: W.
    """

    starts: Places
    ends: Places
    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.ends - self.starts).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the smallest box around the class, in pixels."""
        first, last = self.starts, self.ends - 1
        left, right = int(first[0]) // self.height, int(last[-1]) // self.height
        top, bottom = int((first % self.height).min()), int((last % self.height).max())
        if (first // self.height != last // self.height).any():  # a run goes round a column's end
            top, bottom = 0, self.height - 1
        return left, top, right - left + 1, bottom - top + 1

    def compressed(self) -> str:
        """Return COCO's compressed run lengths, the `counts` of a `segmentation`.

        Lengths of what is outside and inside by turns, each from the fourth on as its difference
        to the one two before, in groups of five bits from the lowest, a sixth for "more follows",
        as characters from "0" on.

        Source: `rleToString` in pycocotools' `maskApi.c`.
        """
        edges = np.column_stack([self.starts, self.ends]).ravel()
        if edges[-1] < self.height * self.width:
            edges = np.append(edges, self.height * self.width)
        lengths = np.diff(edges, prepend=0)
        rest = lengths.copy()
        rest[3:] -= lengths[1:-2]
        characters, unfinished = [], np.ones(len(rest), dtype=bool)
        while unfinished.any():
            group = rest & 31
            rest >>= 5
            more = np.where(group & 16, rest != -1, rest != 0)
            characters.append(np.where(unfinished, 48 + group + 32 * more, 0))
            unfinished &= more
        text = np.stack(characters, axis=1).astype(np.uint8)
        return text[text > 0].tobytes().decode("ascii")


def class_runs(labels: npt.NDArray[np.uint8]) -> dict[int, Runs]:
    """Return the runs of every class id in a label map (H, W), by class id.

    Raises:
        ValueError: The label map is empty.
    """
    if not labels.size:
        raise ValueError(f"a label map of shape {labels.shape} has no pixels")
    values = labels.T.ravel()
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    ends = np.append(starts[1:], values.size)
    classes = values[starts]
    height, width = labels.shape
    return {
        int(class_id): Runs(starts[classes == class_id], ends[classes == class_id], height, width)
        for class_id in np.unique(classes)
    }
