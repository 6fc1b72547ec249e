"""The segmenting stage: an actor that decodes, predicts, counts and encodes one part at a time."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch

from pipeline.dataset_spec import DatasetSpec
from pipeline.decoding import (
    DecodedImage,
    Pixels,
    allow_pixels,
    decode_image,
    stored_pixels,
)
from pipeline.decoding_threads import decode_each
from pipeline.encoded_part import EncodedImage, EncodedPart
from pipeline.errors import DecodeError
from pipeline.job import Job
from pipeline.mask_table import (
    MaskRow,
    class_pixels,
    encode_mask,
    part_file,
    sparse_boundary,
    sparse_confusion,
)
from pipeline.preparation import load_model
from pipeline.receipt import Receipt, SegmentedPart, StageSeconds
from pipeline.stopping import StopFlag
from pipeline.storage import Storage
from pipeline.targets import ClassIds, TargetReader
from refinenet_core import (
    CheckpointError,
    MultiScalePredictor,
    Prediction,
    boundary_counts,
    confusion_matrix,
)
from refinenet_core.palettes import png_palette

T = TypeVar("T")

_WINDOW_PIXELS = 1 << 26  # decoded at a time: 200 MB of RGB


@dataclass
class _Sample:
    """An image on its way through the actor: its encoded bytes, its row, what was decoded.

    Attributes:
        header_pixels: Width times height by the header; 0 for one that cannot be decoded.
        pixels: RGB, from its decoding until it is predicted.
    """

    encoded: EncodedImage
    row: MaskRow
    header_pixels: int = 0
    pixels: Pixels | None = None
    orientation: int = 1
    target: ClassIds | None = None


class _Dataset:
    """What the actor knows of a data set, made once."""

    def __init__(self, spec: DatasetSpec, *, boundary_iou: bool) -> None:
        self.boundary_iou = boundary_iou
        self.decode = spec.decode
        self.has_targets = spec.has_targets
        self.labels = spec.label_set()
        self.palette = png_palette(self.labels.colours)
        self.targets = TargetReader(self.labels, spec.labels)


class Segmenter:
    """Turn encoded parts into part files.

    Args:
        job: What to do, and how.
        storage: Access to the checkpoint.
        threads: Threads of the network on a CPU, and of decoding and encoding.
        stop: Tells when to take no more parts; without it, never.

    Raises:
        CheckpointError: The checkpoint is not the one that the job was prepared with.
    """

    def __init__(
        self, job: Job, storage: Storage, *, threads: int, stop: StopFlag | None = None
    ) -> None:
        # Ray gives an actor one thread per logical CPU; results depend on the number, so set it.
        torch.set_num_threads(threads)
        # Pillow warns of metadata that it repairs: nobody reads that in a worker.
        warnings.filterwarnings("ignore", module="PIL")
        allow_pixels(max(dataset.decode.max_pixels for dataset in job.spec.datasets))
        model, report = load_model(job.spec, storage.read(job.spec.model.checkpoint))
        if report.sha256 != job.checkpoint.sha256:
            raise CheckpointError(
                report.source, f"has changed: SHA-256 {report.sha256}, was {job.checkpoint.sha256}"
            )
        self.job = job
        self.stop = stop
        self.predictor = MultiScalePredictor(
            model,
            job.spec.inference.scales,
            flip=job.spec.inference.flip,
            protocol=job.spec.inference.protocol,
            device=job.device,
            precision=job.fingerprint["precision"],
            batch_pixels=job.spec.inference.batch_pixels,
            max_pixels_per_pass=job.spec.inference.max_pixels_per_pass,
            confidence="mean",
            probabilities=job.spec.inference.probabilities,
        )
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)
        self.datasets = {
            spec.name: _Dataset(spec, boundary_iou=job.spec.metrics.boundary_iou)
            for spec in job.spec.datasets
        }

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Segment one part, a table of one row, into a table of one row; of none once stopped."""
        if self.stop and self.stop.is_up():
            return SegmentedPart.none()
        encoded = EncodedPart.from_table(parts)
        seconds = StageSeconds(read_s=encoded.read_s)
        rows = self.segment(encoded, seconds)
        failed: dict[str, int] = {}
        for row in rows:
            if row.status != "ok":
                failed[row.status] = failed.get(row.status, 0) + 1
        file = part_file(rows, encoded.part, self.job.fingerprint)
        receipt = Receipt(encoded.part, failed, seconds, encoded.retries, encoded.replaces)
        return SegmentedPart(receipt, file).to_table()

    def segment(self, encoded: EncodedPart, seconds: StageSeconds) -> list[MaskRow]:
        """Return a row for each image of a part, in order; add to `seconds` what it took."""
        dataset = self.datasets[encoded.part.dataset]
        samples = [
            _Sample(image, _start_row(image, encoded.part.shard)) for image in encoded.images
        ]
        start = time.perf_counter()
        self._read_headers(samples, dataset)
        seconds.decode_s += time.perf_counter() - start
        for window in _windows(samples):
            self._segment_window(window, dataset, seconds)
        return [sample.row for sample in samples]

    def _segment_window(
        self, window: Sequence[_Sample], dataset: _Dataset, seconds: StageSeconds
    ) -> None:
        start = time.perf_counter()
        self._decode_images(window, dataset)
        decoded_at = time.perf_counter()
        predicted = self._predict([sample for sample in window if sample.pixels is not None])
        predicted_at = time.perf_counter()
        for sample in window:
            sample.pixels = None
        if dataset.has_targets:
            self._read_targets([sample for sample, _ in predicted], dataset)
        read_at = time.perf_counter()
        list(self.pool.map(lambda pair: _finish(pair[0], pair[1], dataset), predicted))
        for sample in window:
            sample.target = None
        seconds.decode_s += decoded_at - start + read_at - predicted_at
        seconds.predict_s += predicted_at - decoded_at
        seconds.encode_s += time.perf_counter() - read_at

    def _read_headers(self, samples: Sequence[_Sample], dataset: _Dataset) -> None:
        """Refuse what a header tells, before memory is spent; learn the sizes of the others."""
        there = [sample for sample in samples if sample.encoded.image is not None]
        list(self.pool.map(_hash, there))

        def read(sample: _Sample) -> int:
            return stored_pixels(sample.encoded.image or b"", dataset.decode)

        for sample, pixels in zip(there, self._decode(read, there, dataset), strict=True):
            if isinstance(pixels, DecodeError):
                sample.row.fail(pixels.status, pixels.reason)
            else:
                sample.header_pixels = pixels

    def _decode_images(self, window: Sequence[_Sample], dataset: _Dataset) -> None:
        def read(sample: _Sample) -> DecodedImage:
            return decode_image(sample.encoded.image or b"", dataset.decode)

        for sample, image in zip(window, self._decode(read, window, dataset), strict=True):
            row = sample.row
            if isinstance(image, DecodeError):
                row.fail(image.status, image.reason)
                continue
            row.flags += image.flags
            row.stored_height, row.stored_width = image.stored_size
            row.height, row.width = image.pixels.shape[:2]
            sample.pixels, sample.orientation = image.pixels, image.orientation

    def _read_targets(self, samples: Sequence[_Sample], dataset: _Dataset) -> None:
        """Read the targets of images that were predicted; a bad one fails its row."""
        there = [s for s in samples if s.encoded.target is not None and s.row.status == "ok"]

        def read(sample: _Sample) -> ClassIds:
            row = sample.row
            return dataset.targets.read(
                sample.encoded.target or b"",
                (row.height or 0, row.width or 0),
                sample.orientation,
                exif_applied="exif_applied" in row.flags,
            )

        for sample, target in zip(there, self._decode(read, there, dataset), strict=True):
            if not isinstance(target, DecodeError):
                sample.target = target
            elif target.status == "bad_target":
                sample.row.fail("bad_target", target.reason)
            else:
                sample.row.fail("bad_target", f"target {target.reason}")

    def _decode(
        self, read: Callable[[_Sample], T], samples: Sequence[_Sample], dataset: _Dataset
    ) -> list[T | DecodeError]:
        limit_s = dataset.decode.timeout_s
        return decode_each(read, samples, threads=self.threads, timeout_s=limit_s, watched=True)

    def _predict(self, samples: Sequence[_Sample]) -> list[tuple[_Sample, Prediction]]:
        """Predict; if the images fail together, one by one, so that only the guilty ones fail."""
        images = [sample.pixels for sample in samples if sample.pixels is not None]
        if not images:
            return []
        try:
            return list(zip(samples, self.predictor.predict(images), strict=True))
        except RuntimeError:
            pass  # whose fault it was shows below
        alone = [
            (sample, self._predict_alone(sample, image))
            for sample, image in zip(samples, images, strict=True)
        ]
        return [(sample, prediction) for sample, prediction in alone if prediction is not None]

    def _predict_alone(self, sample: _Sample, image: np.ndarray) -> Prediction | None:
        try:
            return self.predictor.predict([image])[0]
        except torch.OutOfMemoryError as error:
            sample.row.fail("out_of_memory", str(error).splitlines()[0])
        except RuntimeError as error:
            sample.row.fail("model_error", f"{type(error).__name__}: {error}")
        return None


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


def _hash(sample: _Sample) -> None:
    sample.row.image_sha256 = hashlib.sha256(sample.encoded.image or b"").hexdigest()


def _windows(samples: Sequence[_Sample]) -> Iterator[list[_Sample]]:
    """Yield runs of samples that together decode to at most `_WINDOW_PIXELS`, or one alone."""
    window: list[_Sample] = []
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


def _finish(sample: _Sample, prediction: Prediction, dataset: _Dataset) -> None:
    """Encode the mask and, where there is a target, count the confusion."""
    row = sample.row
    row.mask = encode_mask(prediction.labels, dataset.palette)
    seen = prediction.region.slices
    row.class_pixels = class_pixels(prediction.labels[seen])
    if prediction.region.size != prediction.labels.shape:
        row.flags.append("cropped")
    row.confidence = prediction.mean_confidence
    if prediction.shrunk:
        row.flags.append("oom_fallback")
    if prediction.probabilities is not None:
        row.probabilities = prediction.probabilities.tobytes()
    if not dataset.has_targets or row.status != "ok":
        return
    if sample.target is None:
        row.fail("missing_target", "there is no target for this image")
        return
    counted = _count(row, prediction.labels[seen], sample.target[seen], dataset)
    row.ignored_pixels = sample.target.size - counted


def _count(row: MaskRow, prediction: ClassIds, target: ClassIds, dataset: _Dataset) -> int:
    """Count an image's labelled pixels, and its boundary regions if asked for; return how many."""
    classes = {
        "num_classes": len(dataset.labels.classes),
        "ignore_index": dataset.labels.ignore_index,
    }
    counts = confusion_matrix(prediction, target, **classes)
    row.confusion = sparse_confusion(counts)
    if dataset.boundary_iou:
        row.boundary = sparse_boundary(boundary_counts(prediction, target, **classes))
    return int(counts.sum())
