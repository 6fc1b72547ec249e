"""The gallery of a report: pictures of a dataset's highlights, and its failed images by reason."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Final

from pipeline.datasets.plan import DatasetPlan, PlannedShard
from pipeline.errors import StorageError
from pipeline.images.decoding import allow_pixels
from pipeline.output.mask_table import MaskRow
from pipeline.output.output_folder import Output
from pipeline.output.part_file import Labels, PartFile
from pipeline.output.part_name import group_part_files
from pipeline.output.row_source import SourceImage, SourceImages
from pipeline.report.thumbnails import Thumbnails, distinct, draw_thumbnails
from pipeline.scores.best_and_worst import Highlight, Highlights, RowPlace
from pipeline.scores.worst_confusions import Confusion, largest_error
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.uris import join, shown

_THREADS: Final = 4  # each decodes an image, which may be large
_READING_S: Final = 30.0  # for the images of a dataset; an image deep in a large tar takes its time


@dataclass(frozen=True)
class Picture:
    """An image of the gallery.

    Attributes:
        row: Its row.
        miou: Its own mIoU; NaN where it is not scored.
        confidence: Its mean confidence; NaN where nobody tells.
        error: Its confusion of the most pixels.
        thumbnails: It and its label maps.
        note: Why something is not shown; None if all is.
        before: The mIoU that an earlier run gives it; NaN where there is none.
    """

    row: MaskRow
    miou: float
    confidence: float
    error: Confusion | None
    thumbnails: Thumbnails
    note: str | None
    before: float = math.nan

    @property
    def source(self) -> str:
        """Where the image is, as people type it."""
        return shown(self.row.uri or "")

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes in a page, about."""
        small = self.thumbnails
        urls = (
            small.image,
            small.prediction,
            small.target,
            small.errors,
            small.other,
            small.changes,
        )
        return sum(len(url) for url in urls if url)


@dataclass(frozen=True)
class PictureGroup:
    """Pictures of one kind; `title` says which, and `order` in which order."""

    title: str
    order: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class FailedImages:
    """The images of one status.

    Attributes:
        status: The status.
        images: How many there are.
        examples: Some of their rows, which say what is wrong.
    """

    status: str
    images: int
    examples: Sequence[MaskRow]


class Gallery:
    """Reads what a report shows of a dataset.

    Args:
        output: The output folder.
        dataset: The dataset.
        plan: Its plan.
    """

    def __init__(self, output: Output, dataset: DatasetSpec, plan: DatasetPlan) -> None:
        self.output = output
        self.dataset = dataset
        self.labels = dataset.label_set()
        self.colours = distinct(self.labels.colours)
        self._shards = {shard.slug: shard for shard in plan.shards}

    def groups(self, highlights: Highlights, *, most: int) -> list[PictureGroup]:
        """Return the pictures of the worst, the typical, the best and the uncertain images.

        Args:
            highlights: The dataset's.
            most: Pictures of each kind at most.

        Raises:
            OutputError: A part file is damaged.
            StorageError: A part file cannot be read.
        """
        chosen = [
            (title, order, rows[:most]) for title, order, rows in _kinds(highlights) if rows[:most]
        ]
        pictures = self.pictures({h for _, _, rows in chosen for h in rows})
        return [
            PictureGroup(title, order, [pictures[h.place] for h in rows if h.place in pictures])
            for title, order, rows in chosen
        ]

    def pictures(
        self, highlights: Iterable[Highlight], earlier: Mapping[RowPlace, Labels] | None = None
    ) -> dict[RowPlace, Picture]:
        """Return the pictures of rows that have a mask.

        Args:
            highlights: The rows.
            earlier: What another run has predicted for them, if that is to be shown as well.

        Raises:
            OutputError: A part file is damaged.
            StorageError: A part file cannot be read.
        """
        allow_pixels(self.dataset.decode.max_pixels)
        by_place = {highlight.place: highlight for highlight in highlights}
        rows = self._rows(by_place, masks=True)
        deadline = time.monotonic() + _READING_S
        with ThreadPoolExecutor(_THREADS) as pool:
            drawn = pool.map(
                lambda run: list(self._draw_run(run, by_place, earlier or {}, deadline)),
                self._runs(rows),
            )
            return {place: picture for pictures in drawn for place, picture in pictures}

    def label_maps(self, places: Iterable[RowPlace]) -> dict[RowPlace, Labels]:
        """Return the label maps of rows that have a mask.

        Raises:
            OutputError: A part file is damaged.
            StorageError: A part file cannot be read.
        """
        return {
            place: self._part(place.file).labels(row)
            for place, row in self._rows(places, masks=True).items()
            if row.mask is not None
        }

    def failures(self, highlights: Highlights, statuses: Mapping[str, int]) -> list[FailedImages]:
        """Return the failed images by status, the most frequent first.

        Args:
            highlights: The dataset's.
            statuses: Rows by status.
        """
        numbers = {status: images for status, images in statuses.items() if status != "ok"}
        rows = self._rows(chain.from_iterable(highlights.failures.values()), masks=False)
        return [
            FailedImages(status, images, [rows[place] for place in highlights.failures[status]])
            for status, images in sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
        ]

    def _rows(self, places: Iterable[RowPlace], *, masks: bool) -> dict[RowPlace, MaskRow]:
        found = {}
        for name, group in groupby(sorted(set(places)), key=lambda place: place.file):
            rows = self._part(name).find([place.index for place in group], masks=masks)
            found.update({RowPlace(name, row.index): row for row in rows})
        return found

    def _runs(
        self, rows: Mapping[RowPlace, MaskRow]
    ) -> Iterator[tuple[PlannedShard, Mapping[RowPlace, MaskRow]]]:
        """Yield the rows that are to be read one after another: those of a shard that is a file."""
        by_shard: dict[str, dict[RowPlace, MaskRow]] = {}
        for place, row in sorted(rows.items(), key=lambda item: item[0].index):
            [slug] = group_part_files([place.file])
            by_shard.setdefault(slug, {})[place] = row
        for slug, members in by_shard.items():
            shard = self._shards[slug]
            if shard.file:
                yield shard, members
            else:
                yield from ((shard, {place: row}) for place, row in members.items())

    def _draw_run(
        self,
        run: tuple[PlannedShard, Mapping[RowPlace, MaskRow]],
        highlights: Mapping[RowPlace, Highlight],
        earlier: Mapping[RowPlace, Labels],
        deadline: float,
    ) -> Iterator[tuple[RowPlace, Picture]]:
        shard, rows = run
        images = SourceImages(
            self.dataset, shard, self.output.storage, with_targets=True, deadline=deadline
        )
        for place, row in rows.items():
            if row.mask is not None:
                picture = self._draw(highlights[place], row, images, earlier.get(place))
                yield place, picture

    def _draw(
        self, highlight: Highlight, row: MaskRow, images: SourceImages, earlier: Labels | None
    ) -> Picture:
        source, note = _read(images, row)
        if source and source.target is None and row.confusion is not None:
            note = "the target is gone or has changed since"
        labels = self._part(highlight.place.file).labels(row)
        thumbnails = draw_thumbnails(
            labels if earlier is None else earlier,
            self.colours,
            image=source.pixels if source else None,
            target=source.target if source else None,
            other=None if earlier is None else labels,
        )
        error = largest_error(row.confusion or (), self.labels.classes)
        return Picture(row, highlight.miou, highlight.confidence, error, thumbnails, note)

    def _part(self, name: str) -> PartFile:
        uri = join(self.output.masks_uri(self.dataset.name), name)
        return PartFile(uri, self.output.storage)


def _kinds(highlights: Highlights) -> list[tuple[str, str, list[Highlight]]]:
    typical = highlights.typical()
    kinds = [("Most uncertain", "lowest mean confidence first", highlights.uncertain)]
    if not highlights.worst:
        typical_title = ("Typical", "nearest to the median confidence first", typical)
        return [*kinds, typical_title, ("Surest", "highest confidence first", highlights.certain)]
    return [
        ("Worst", "lowest mIoU first", highlights.worst),
        ("Typical", "nearest to the median mIoU first", typical),
        ("Best", "highest mIoU first", highlights.best),
        *kinds,
    ]


def _read(images: SourceImages, row: MaskRow) -> tuple[SourceImage | None, str | None]:
    """Return an image and its target, or why there is none: a report does without."""
    try:
        source = images.read(row)
    except StorageError as error:
        return None, f"the image cannot be read: {error}"
    except TimeoutError:
        return None, f"the image was not read within the {_READING_S:.0f} s for all"
    return source, None if source else "the image is gone or has changed since"
