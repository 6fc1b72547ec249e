"""The segmenting stage: an actor that decodes, predicts, counts and encodes one part at a time."""

import hashlib
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch

from pipeline.decoding import DecodedImage, decode_image, decode_target, stored_pixels
from pipeline.encoded_part import EncodedImage, EncodedPart
from pipeline.errors import DecodeError
from pipeline.job import Job, load_model
from pipeline.mask_table import (
    MaskRow,
    class_pixels,
    encode_mask,
    part_file,
    sparse_confusion,
)
from pipeline.receipt import Receipt, SegmentedPart, StageSeconds
from pipeline.storage import Storage
from refinenet_core import (
    CheckpointError,
    LabelSet,
    MultiScalePredictor,
    Prediction,
    confusion_matrix,
)
from refinenet_core.palettes import png_palette

_WINDOW_PIXELS = 1 << 26  # decoded at a time: 200 MB of RGB


@dataclass
class _Sample:
    """An image on its way through the actor: its encoded bytes, its row, its decoded pixels."""

    encoded: EncodedImage
    row: MaskRow
    decoded: DecodedImage | None = None


class Segmenter:
    """Turn encoded parts into part files.

    Args:
        job: What to do, and how.
        storage: Access to the checkpoint.
        threads: Threads of the network on a CPU, and of decoding and encoding.

    Raises:
        CheckpointError: The checkpoint is not the one that the job was prepared with.
    """

    def __init__(self, job: Job, storage: Storage, *, threads: int) -> None:
        # Ray gives an actor one thread per logical CPU; results depend on the number, so set it.
        torch.set_num_threads(threads)
        # Pillow warns of metadata that it repairs: nobody reads that in a worker.
        warnings.filterwarnings("ignore", module="PIL")
        model, report = load_model(job.spec, storage.read(job.spec.model.checkpoint))
        if report.sha256 != job.checkpoint.sha256:
            raise CheckpointError(
                report.source, f"has changed: SHA-256 {report.sha256}, was {job.checkpoint.sha256}"
            )
        self.job = job
        self.predictor = MultiScalePredictor(
            model,
            job.spec.inference.scales,
            flip=job.spec.inference.flip,
            device=job.device,
            precision=job.fingerprint["precision"],
            batch_pixels=job.spec.inference.batch_pixels,
        )
        self.pool = ThreadPoolExecutor(threads)
        self.label_sets = {dataset.name: dataset.label_set() for dataset in job.spec.datasets}
        self.has_targets = {dataset.name: bool(dataset.targets) for dataset in job.spec.datasets}

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Segment one part, a table of one row, into a table of one row."""
        encoded = EncodedPart.from_table(parts)
        seconds = StageSeconds(read_s=encoded.read_s)
        rows = self.segment(encoded, seconds)
        failed: dict[str, int] = {}
        for row in rows:
            if row.status != "ok":
                failed[row.status] = failed.get(row.status, 0) + 1
        file = part_file(rows, encoded.part, self.job.fingerprint)
        return SegmentedPart(Receipt(encoded.part, failed, seconds), file).to_table()

    def segment(self, encoded: EncodedPart, seconds: StageSeconds) -> list[MaskRow]:
        """Return a row for each image of a part, in order; add to `seconds` what it took."""
        samples = [
            _Sample(image, _start_row(image, encoded.part.shard)) for image in encoded.images
        ]
        for window in _windows(samples):
            self._segment_window(window, encoded.part.dataset, seconds)
        return [sample.row for sample in samples]

    def _segment_window(
        self, window: Sequence[_Sample], dataset: str, seconds: StageSeconds
    ) -> None:
        start = time.perf_counter()
        list(self.pool.map(_decode, window))
        decoded_at = time.perf_counter()
        ready = [sample for sample in window if sample.decoded is not None]
        predictions = self._predict(ready)
        predicted_at = time.perf_counter()
        finish = partial(_finish, labels=self.label_sets[dataset], scored=self.has_targets[dataset])
        list(self.pool.map(finish, ready, predictions))
        for sample in window:
            sample.decoded = None
        seconds.decode_s += decoded_at - start
        seconds.predict_s += predicted_at - decoded_at
        seconds.encode_s += time.perf_counter() - predicted_at

    def _predict(self, samples: Sequence[_Sample]) -> list[Prediction | None]:
        """Predict; if the images fail together, one by one, so that only the guilty ones fail."""
        images = [sample.decoded.pixels for sample in samples if sample.decoded is not None]
        if not images:
            return []
        try:
            return list(self.predictor.predict(images))
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                for sample in samples:  # another batch may give other last bits: say so
                    sample.row.flags.append("oom_fallback")
            return [
                self._predict_alone(sample, image)
                for sample, image in zip(samples, images, strict=True)
            ]

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
        flags=["duplicate_key"] if image.duplicate_key else [],
    )


def _windows(samples: Sequence[_Sample]) -> Iterator[list[_Sample]]:
    """Yield runs of samples that together decode to at most `_WINDOW_PIXELS`, or one alone."""
    window: list[_Sample] = []
    pixels = 0
    for sample in samples:
        size = stored_pixels(sample.encoded.image) if sample.encoded.image else 0
        if window and pixels + size > _WINDOW_PIXELS:
            yield window
            window, pixels = [], 0
        window.append(sample)
        pixels += size
    if window:
        yield window


def _decode(sample: _Sample) -> None:
    data, row = sample.encoded.image, sample.row
    if data is None:
        return
    row.image_sha256 = hashlib.sha256(data).hexdigest()
    try:
        decoded = decode_image(data)
    except DecodeError as error:
        row.fail(error.status, error.reason)
        return
    row.flags += decoded.flags
    row.stored_height, row.stored_width = decoded.stored_size
    row.height, row.width = decoded.pixels.shape[:2]
    sample.decoded = decoded


def _finish(
    sample: _Sample, prediction: Prediction | None, *, labels: LabelSet, scored: bool
) -> None:
    """Encode the mask and, where there is a target, count the confusion."""
    if prediction is None:
        return
    row = sample.row
    row.mask = encode_mask(prediction.labels, png_palette(labels.colours))
    row.class_pixels = class_pixels(prediction.labels)
    row.confidence = float(prediction.confidence.mean(dtype=np.float64))
    if not scored or row.status != "ok":
        return
    if sample.encoded.target is None:
        row.fail("missing_target", "there is no target for this image")
        return
    num_classes = len(labels.classes)
    try:
        target = decode_target(sample.encoded.target, prediction.labels.shape, labels)
    except DecodeError as error:
        row.fail(error.status, error.reason)
        return
    counts = confusion_matrix(
        prediction.labels, target, num_classes=num_classes, ignore_index=labels.ignore_index
    )
    row.confusion = sparse_confusion(counts)
    row.ignored_pixels = int(target.size - counts.sum())
