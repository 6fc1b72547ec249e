"""The scoring stage: an actor that reads masks that exist already in place of predicting them."""

import time
from collections.abc import Sequence

from pipeline.errors import DecodeError
from pipeline.images.class_ids import ClassIds
from pipeline.images.existing_masks import PredictionReader
from pipeline.spec.dataset_spec import PredictionsSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.part_maker import PartMaker
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.sample import KnownDataset, LabelMap, Sample
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage


class Scorer(PartMaker):
    """Turn encoded parts, whose images are masks, into part files.

    Args:
        job: What to do, and how; it has no model.
        storage: Access to what the job names.
        threads: Threads of decoding and encoding.
        stop: Tells when to take no more parts; without it, never.
    """

    def __init__(
        self, job: Job, storage: Storage, *, threads: int, stop: StopFlag | None = None
    ) -> None:
        super().__init__(job, storage, threads=threads, stop=stop)
        self.readers = {
            spec.name: PredictionReader(
                spec.label_set(), spec.predictions or PredictionsSpec(), spec.decode
            )
            for spec in job.spec.datasets
        }

    def label(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> list[tuple[Sample, LabelMap]]:
        """Decode masks."""
        start = time.perf_counter()
        reader = self.readers[dataset.name]

        def read(sample: Sample) -> ClassIds:
            return reader.read(sample.encoded.image or b"")

        labelled = []
        for sample, ids in zip(window, self.decode(read, window, dataset), strict=True):
            row = sample.row
            if isinstance(ids, DecodeError):
                row.fail(ids.status, ids.reason)
                continue
            row.height, row.width = row.stored_height, row.stored_width = ids.shape
            labelled.append((sample, LabelMap(ids)))
        seconds.decode_s += time.perf_counter() - start
        return labelled
