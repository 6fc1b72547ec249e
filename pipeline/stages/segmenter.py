"""The segmenting stage: an actor that decodes, predicts, counts and encodes one part at a time."""

import time
from collections.abc import Sequence

import torch

from pipeline.images.decoding import Pixels
from pipeline.spec.checkpoint import load_model
from pipeline.spec.resolved_job import Job
from pipeline.stages.hardware import require_gpu
from pipeline.stages.part_maker import PartMaker
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.sample import KnownDataset, LabelMap, Sample
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage
from refinenet_core import CheckpointError, MultiScalePredictor, Prediction


class Segmenter(PartMaker):
    """Turn encoded parts into part files with the labels that a network predicts.

    Args:
        job: What to do, and how; it has a model.
        storage: Access to the checkpoint.
        threads: Threads of the network on a CPU, and of decoding and encoding.
        stop: Tells when to take no more parts; without it, never.

    Raises:
        DeviceError: The actor has a GPU by Ray's account, and PyTorch finds none.
        CheckpointError: The checkpoint is not the one that the job was prepared with.
    """

    def __init__(
        self, job: Job, storage: Storage, *, threads: int, stop: StopFlag | None = None
    ) -> None:
        if job.device == "cuda":
            require_gpu()
        # Ray gives an actor one thread per logical CPU; results depend on the number, so set it.
        torch.set_num_threads(threads)
        super().__init__(job, storage, threads=threads, stop=stop)
        model, report = load_model(job.spec, storage.read(job.spec.network.checkpoint))
        if not job.checkpoint or report.sha256 != job.checkpoint.sha256:
            was = job.checkpoint and job.checkpoint.sha256
            raise CheckpointError(report.source, f"has changed: SHA-256 {report.sha256}, was {was}")
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

    def label(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> list[tuple[Sample, LabelMap]]:
        """Decode images and predict their labels."""
        start = time.perf_counter()
        decoded = self.decode_images(window, dataset)
        decoded_at = time.perf_counter()
        labelled = [
            (sample, _noted(sample, found))
            for sample, found in self._predict(decoded)
            if self._is_finite(sample, found)
        ]
        seconds.decode_s += decoded_at - start
        seconds.predict_s += time.perf_counter() - decoded_at
        return labelled

    def _predict(self, decoded: Sequence[tuple[Sample, Pixels]]) -> list[tuple[Sample, Prediction]]:
        """Predict; if the images fail together, one by one, so that only the guilty ones fail."""
        if not decoded:
            return []
        samples = [sample for sample, _ in decoded]
        try:
            predictions = self.predictor.predict([pixels for _, pixels in decoded])
            return list(zip(samples, predictions, strict=True))
        except RuntimeError:
            pass  # whose fault it was shows below
        alone = [(sample, self._predict_alone(sample, pixels)) for sample, pixels in decoded]
        return [(sample, prediction) for sample, prediction in alone if prediction is not None]

    def _predict_alone(self, sample: Sample, image: Pixels) -> Prediction | None:
        try:
            return self.predictor.predict([image])[0]
        except torch.OutOfMemoryError as error:
            sample.row.fail("out_of_memory", str(error).splitlines()[0])
        except RuntimeError as error:
            sample.row.fail("model_error", f"{type(error).__name__}: {error}")
        return None

    def _is_finite(self, sample: Sample, found: Prediction) -> bool:
        """Say whether a prediction means anything; if not, fail its row."""
        if not found.finite:
            precision = self.predictor.precision
            remedy = "try bfloat16" if precision == "float16" else "check the checkpoint's weights"
            reason = f"the network's output is not finite in {precision}; {remedy}"
            sample.row.fail("model_error", reason)
        return found.finite


def _noted(sample: Sample, prediction: Prediction) -> LabelMap:
    """Note in a row what is known of a prediction; return its labels."""
    row = sample.row
    if prediction.region.size != prediction.labels.shape:
        row.flags.append("cropped")
    row.confidence = prediction.mean_confidence
    if prediction.shrunk:
        row.flags.append("oom_fallback")
    if prediction.probabilities is not None:
        row.probabilities = prediction.probabilities.tobytes()
    return LabelMap(prediction.labels, prediction.region.slices)
