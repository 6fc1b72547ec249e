"""The rows of a dataset that a report shows (best, worst, uncertain, failed), found on the way."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refinenet_core.metrics.scores import Floats

SHOWN: Final = 6
"""Rows of a kind that are kept."""

_SAMPLE: Final = 512  # rows among which those nearest to the median are looked for
_HIGHEST_DIGEST: Final = "f" * 64
_NO_DIGEST: Final = "~"  # after every hexadecimal digit


@dataclass(frozen=True, order=True)
class RowPlace:
    """Where a row stands.

    Attributes:
        file: Name of its part file.
        index: The image's index in its shard.
    """

    file: str
    index: int


@dataclass(frozen=True)
class Highlight:
    """A row worth showing, and how it scored.

    Attributes:
        place: Where it stands.
        miou: The image's own mIoU by "union_present"; NaN where it is not scored.
        confidence: Mean confidence of its pixels; NaN where nobody tells.
    """

    place: RowPlace
    miou: float
    confidence: float


class Highlights:
    """The rows of a dataset that a report shows; neither order nor grouping changes them.

    Attributes:
        worst: Those of the lowest mIoU, ascending.
        best: Those of the highest mIoU, descending.
        uncertain: Those of the lowest confidence, ascending.
        certain: Those of the highest confidence, descending.
        failures: The first rows of each status but `ok`.
    """

    def __init__(self) -> None:
        self.worst: list[Highlight] = []
        self.best: list[Highlight] = []
        self.uncertain: list[Highlight] = []
        self.certain: list[Highlight] = []
        self.failures: dict[str, list[RowPlace]] = {}
        self._sample: list[tuple[str, Highlight]] = []  # at times more of them, in any order
        self._last_digest = _HIGHEST_DIGEST  # no row of a higher one is in the sample

    def add(self, file: str, table: pa.Table, mious: Floats) -> None:
        """Look through the rows of a part.

        Args:
            file: The part file's name.
            table: Its columns `index`, `status`, `confidence` and `image_sha256` at least.
            mious: Each row's own mIoU, shape (N,); NaN where it is not scored.
        """
        part = _PartRows(file, table, mious)
        self._merge_ranks(
            part.least(part.mious),
            part.least(-part.mious),
            part.least(part.confidences),
            part.least(-part.confidences),
        )
        self._merge_sample(part.sample(self._last_digest))
        for position in np.flatnonzero(part.failed):
            status = table["status"][int(position)].as_py()
            self._merge_failures(status, [part.highlight(int(position)).place])

    def __iadd__(self, other: Self) -> Self:
        """Merge what other rows of the dataset have."""
        self._merge_ranks(other.worst, other.best, other.uncertain, other.certain)
        self._merge_sample(other._sample)
        for status, places in other.failures.items():
            self._merge_failures(status, places)
        return self

    def typical(self) -> list[Highlight]:
        """Return those nearest to the median mIoU, without scores to the median confidence.

        They come from a sample, which the digests of the images decide, of large data sets.
        """
        self._cut_sample()
        sample = [highlight for _, highlight in self._sample]
        scored = [each for each in sample if not math.isnan(each.miou)]
        if scored:
            return _nearest(scored, [each.miou for each in scored])
        sure = [each for each in sample if not math.isnan(each.confidence)]
        return _nearest(sure, [each.confidence for each in sure])

    def _merge_ranks(
        self,
        worst: Iterable[Highlight],
        best: Iterable[Highlight],
        uncertain: Iterable[Highlight],
        certain: Iterable[Highlight],
    ) -> None:
        self.worst = sorted([*self.worst, *worst], key=lambda h: (h.miou, h.place))[:SHOWN]
        self.best = sorted([*self.best, *best], key=lambda h: (-h.miou, h.place))[:SHOWN]
        self.uncertain = sorted(
            [*self.uncertain, *uncertain], key=lambda h: (h.confidence, h.place)
        )[:SHOWN]
        self.certain = sorted([*self.certain, *certain], key=lambda h: (-h.confidence, h.place))[
            :SHOWN
        ]

    def _merge_sample(self, sample: Iterable[tuple[str, Highlight]]) -> None:
        self._sample += sample
        if len(self._sample) > 2 * _SAMPLE:  # not each time: sorting takes longer than the rest
            self._cut_sample()

    def _cut_sample(self) -> None:
        self._sample = sorted(self._sample, key=lambda item: (item[0], item[1].place))[:_SAMPLE]
        if len(self._sample) == _SAMPLE:
            self._last_digest = self._sample[-1][0]

    def _merge_failures(self, status: str, places: Iterable[RowPlace]) -> None:
        self.failures[status] = sorted([*self.failures.get(status, ()), *places])[:SHOWN]


class _PartRows:
    """The rows of a part, as arrays."""

    def __init__(self, file: str, table: pa.Table, mious: Floats) -> None:
        self.file = file
        self.mious = mious
        self.confidences = table["confidence"].fill_null(math.nan).to_numpy().astype(np.float64)
        self.failed = pc.not_equal(table["status"], "ok").to_numpy()
        self._indices = table["index"].to_numpy()
        self._digests = table["image_sha256"].fill_null(_NO_DIGEST)

    def highlight(self, position: int) -> Highlight:
        """Return a row by its position."""
        place = RowPlace(self.file, int(self._indices[position]))
        return Highlight(place, float(self.mious[position]), float(self.confidences[position]))

    def least(self, values: Floats) -> list[Highlight]:
        """Return the rows of the least values, of equal ones the first; NaN is none."""
        order = np.argsort(values, kind="stable")[:SHOWN]  # NaN comes last
        return [self.highlight(int(each)) for each in order if not math.isnan(values[each])]

    def sample(self, last: str) -> list[tuple[str, Highlight]]:
        """Return the rows with a digest, up to the last one that counts, and that digest."""
        positions = np.flatnonzero(pc.less_equal(self._digests, last).to_numpy())
        return [(self._digests[int(p)].as_py(), self.highlight(int(p))) for p in positions]


def _nearest(highlights: list[Highlight], values: list[float]) -> list[Highlight]:
    """Return those whose value is nearest to the median, ascending by place where equal."""
    if not values:
        return []
    median = float(np.median(values))
    pairs = sorted(
        zip(values, highlights, strict=True),
        key=lambda pair: (abs(pair[0] - median), pair[1].place),
    )
    return [highlight for _, highlight in pairs[:SHOWN]]
