"""What all stages share that make parts: an actor that gives a part's images labels, and scores."""

import hashlib
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.errors import DecodeError
from pipeline.images.class_ids import ClassIds
from pipeline.images.decoding import DecodedImage, Pixels, allow_pixels, decode_image, stored_pixels
from pipeline.images.decoding_threads import decode_each
from pipeline.output.mask_table import MaskRow
from pipeline.output.part_file import part_file
from pipeline.spec.resolved_job import Job
from pipeline.stages.count_confusion import finish_row
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.receipt import ActorSeconds, Receipt, SegmentedPart, StageSeconds
from pipeline.stages.sample import KnownDataset, LabelMap, Sample
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage

T = TypeVar("T")

_WINDOW_PIXELS = 1 << 26  # decoded at a time: 200 MB of RGB


class PartMaker(ABC):
    """Turn encoded parts into part files.

    Args:
        job: What to do, and how.
        storage: Access to what the job names.
        threads: Threads of decoding and encoding.
        stop: Tells when to take no more parts; without it, never.
    """

    def __init__(
        self, job: Job, storage: Storage, *, threads: int, stop: StopFlag | None = None
    ) -> None:
        # Pillow warns of metadata that it repairs: nobody reads that in a worker.
        warnings.filterwarnings("ignore", module="PIL")
        allow_pixels(max(dataset.decode.max_pixels for dataset in job.spec.datasets))
        self.job = job
        self.storage = storage
        self.stop = stop
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)
        self._free_since: float | None = None  # on `time.perf_counter`, once a part is made
        self.datasets = {
            spec.name: KnownDataset(spec, boundary_iou=job.spec.metrics.boundary_iou)
            for spec in job.spec.datasets
        }

    @abstractmethod
    def label(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> list[tuple[Sample, LabelMap]]:
        """Give images their labels; one that gets none is left out, and its row says why.

        Args:
            window: The images, whose headers could be read.
            dataset: Theirs.
            seconds: What it takes is added here.
        """

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Make one part, a table of one row, into a table of one row; of none once stopped."""
        if self.stop and self.stop.is_up():
            return SegmentedPart.none()
        try:
            return self._make(parts).to_table()
        finally:
            self._free_since = time.perf_counter()

    def _make(self, parts: pa.Table) -> SegmentedPart:
        taken_at, start = time.time(), time.perf_counter()
        encoded = EncodedPart.from_table(parts)
        seconds = StageSeconds(read_s=encoded.read_s)
        rows = self.make_rows(encoded, seconds)
        failed: dict[str, int] = {}
        for row in rows:
            if row.status != "ok":
                failed[row.status] = failed.get(row.status, 0) + 1
        made_at = time.perf_counter()
        file = part_file(rows, encoded.part, self.job.fingerprint)
        end = time.perf_counter()
        seconds.encode_s += end - made_at
        receipt = Receipt(
            encoded.part,
            failed,
            seconds,
            encoded.retries,
            encoded.replaces,
            actor_s=ActorSeconds(
                queued_s=max(0.0, taken_at - encoded.read_at),  # by the clocks of two machines
                waited_s=0.0 if self._free_since is None else start - self._free_since,
                worked_s=end - start,
            ),
            taken_at=taken_at,
        )
        return SegmentedPart(receipt, file)

    def make_rows(self, encoded: EncodedPart, seconds: StageSeconds) -> list[MaskRow]:
        """Return a row for each image of a part, in order; add to `seconds` what it took."""
        dataset = self.datasets[encoded.part.dataset]
        samples = [Sample(image, _start_row(image, encoded.part.shard)) for image in encoded.images]
        start = time.perf_counter()
        self._read_headers(samples, dataset)
        seconds.decode_s += time.perf_counter() - start
        for window in _windows(samples):
            self._make_window(window, dataset, seconds)
        return [sample.row for sample in samples]

    def decode_images(
        self, window: Sequence[Sample], dataset: KnownDataset
    ) -> list[tuple[Sample, Pixels]]:
        """Decode images, and note in their rows what they are; leave out those that are none."""

        def read(sample: Sample) -> DecodedImage:
            return decode_image(sample.encoded.image or b"", dataset.decode)

        decoded = []
        for sample, image in zip(window, self.decode(read, window, dataset), strict=True):
            row = sample.row
            if isinstance(image, DecodeError):
                row.fail(image.status, image.reason)
                continue
            row.flags += image.flags
            row.stored_height, row.stored_width = image.stored_size
            row.height, row.width = image.pixels.shape[:2]
            sample.orientation = image.orientation
            decoded.append((sample, image.pixels))
        return decoded

    def decode(
        self, read: Callable[[Sample], T], samples: Sequence[Sample], dataset: KnownDataset
    ) -> list[T | DecodeError]:
        """Decode something of each sample, in threads and for a limited time."""
        limit_s = dataset.decode.timeout_s
        return decode_each(read, samples, threads=self.threads, timeout_s=limit_s, watched=True)

    def _make_window(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> None:
        labelled = self.label(window, dataset, seconds)
        labelled_at = time.perf_counter()
        if dataset.has_targets:
            self._read_targets([sample for sample, _ in labelled], dataset)
        read_at = time.perf_counter()
        list(self.pool.map(lambda pair: finish_row(pair[0], pair[1], dataset), labelled))
        for sample in window:
            sample.target = None
        seconds.decode_s += read_at - labelled_at
        seconds.encode_s += time.perf_counter() - read_at

    def _read_headers(self, samples: Sequence[Sample], dataset: KnownDataset) -> None:
        """Refuse what a header tells, before memory is spent; learn the sizes of the others."""
        there = [sample for sample in samples if sample.encoded.image is not None]
        list(self.pool.map(_hash, there))

        def read(sample: Sample) -> int:
            return stored_pixels(sample.encoded.image or b"", dataset.decode)

        for sample, pixels in zip(there, self.decode(read, there, dataset), strict=True):
            if isinstance(pixels, DecodeError):
                sample.row.fail(pixels.status, pixels.reason)
            else:
                sample.header_pixels = pixels

    def _read_targets(self, samples: Sequence[Sample], dataset: KnownDataset) -> None:
        """Read the targets of images that were predicted; a bad one fails its row."""
        there = [s for s in samples if s.encoded.target is not None and s.row.status == "ok"]

        def read(sample: Sample) -> ClassIds:
            row = sample.row
            return dataset.targets.read(
                sample.encoded.target or b"",
                (row.height or 0, row.width or 0),
                sample.orientation,
                exif_applied="exif_applied" in row.flags,
            )

        for sample, target in zip(there, self.decode(read, there, dataset), strict=True):
            if not isinstance(target, DecodeError):
                sample.target = target
            elif target.status == "bad_target":
                sample.row.fail("bad_target", target.reason)
            else:
                sample.row.fail("bad_target", f"target {target.reason}")


def _start_row(image: EncodedImage, shard: str) -> MaskRow:
    return MaskRow(
        shard=shard,
        index=image.index,
        key=image.key,
        uri=image.uri,
        target_uri=image.target_uri,
        status=image.status,
        error=image.error,
        flags=list(image.flags),
    )


def _hash(sample: Sample) -> None:
    sample.row.image_sha256 = hashlib.sha256(sample.encoded.image or b"").hexdigest()


def _windows(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Yield runs of samples that together decode to at most `_WINDOW_PIXELS`, or one alone."""
    window: list[Sample] = []
    pixels = 0
    for sample in samples:
        if not sample.header_pixels:
            continue
        if window and pixels + sample.header_pixels > _WINDOW_PIXELS:
            yield window
            window, pixels = [], 0
        window.append(sample)
        pixels += sample.header_pixels
    if window:
        yield window
