"""The fusing stage: an actor that averages the probabilities that several runs have stored."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.output.mask_table import MaskRow
from pipeline.spec.resolved_job import Job
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.fused_outputs import FusionInput, InputRows, read_inputs
from pipeline.stages.part_maker import PartMaker
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.sample import KnownDataset, LabelMap, Sample
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage
from refinenet_core.prediction.averaging import WholeMap, fuse


class Fuser(PartMaker):
    """Turn encoded parts into part files with the labels of averaged probabilities.

    Args:
        job: What to do, and how; it fuses.
        storage: Access to the outputs.
        threads: Threads of averaging, and of decoding and encoding.
        stop: Tells when to take no more parts; without it, never.

    Raises:
        OutputError: An output is not there any more.
    """

    def __init__(
        self, job: Job, storage: Storage, *, threads: int, stop: StopFlag | None = None
    ) -> None:
        torch.set_num_threads(threads)
        super().__init__(job, storage, threads=threads, stop=stop)
        self.inputs = read_inputs(job.spec, storage)
        self._rows: Sequence[InputRows] = ()  # of the part that is being made

    def make_rows(self, encoded: EncodedPart, seconds: StageSeconds) -> list[MaskRow]:
        """Return a row for each image of a part, in order; add to `seconds` what it took.

        Raises:
            StorageError: An output does not have the part, or it cannot be read.
            OutputError: What it has is another job's.
        """
        with ExitStack() as opened:
            self._rows = [
                opened.enter_context(closing(InputRows(each, encoded.part))) for each in self.inputs
            ]
            return super().make_rows(encoded, seconds)

    def label(
        self, window: Sequence[Sample], dataset: KnownDataset, seconds: StageSeconds
    ) -> list[tuple[Sample, LabelMap]]:
        """Decode images, for what their rows tell, and average what the outputs say of them."""
        start = time.perf_counter()
        samples = [sample for sample, _ in self.decode_images(window, dataset)]
        decoded_at = time.perf_counter()
        labelled = []
        for sample in samples:
            rows = [source.at(sample.row.index) for source in self._rows]
            if _agree(sample.row, self.inputs, rows):
                labelled.append((sample, self._fuse(sample.row, rows, len(dataset.labels.classes))))
        seconds.decode_s += decoded_at - start
        seconds.predict_s += time.perf_counter() - decoded_at
        return labelled

    def _fuse(
        self, row: MaskRow, rows: Sequence[Mapping[str, Any] | None], num_classes: int
    ) -> LabelMap:
        size = (row.height or 0, row.width or 0)
        quarter = (-(-size[0] // 4), -(-size[1] // 4))
        total = sum(source.weight for source in self.inputs)
        # One sum for the maps that are enlarged as the network's own are, and one for the others.
        sums: dict[bool, Tensor] = {}
        for source, found in zip(self.inputs, rows, strict=True):
            stored = np.frombuffer((found or {})["probabilities"], np.uint8)
            map_CHW = torch.from_numpy(stored.reshape(num_classes, *quarter).astype(np.float32))
            map_CHW *= source.weight / total / 255
            known = sums.get(source.at_stride_four)
            sums[source.at_stride_four] = map_CHW if known is None else known + map_CHW
        maps = [
            WholeMap(len(sums) * (sum_CHW if at_stride_four else _smoothly_enlarged(sum_CHW, size)))
            for at_stride_four, sum_CHW in sums.items()
        ]
        fused = fuse(maps, size, keep_confidence=False)
        row.confidence = fused.mean_confidence.item()
        return LabelMap(fused.labels.numpy())


def _smoothly_enlarged(map_CHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge probabilities at a quarter of a size to half of it, bicubically.

    They were resized to the quarter from a map of another size, whose kinks are gone: a smooth
    curve through them comes closer to it than straight lines do, which cost 0.15 % of the labels.
    """
    half = (-(-size[0] // 2), -(-size[1] // 2))
    return functional.interpolate(map_CHW[None], size=half, mode="bicubic", align_corners=False)[0]


def _agree(
    row: MaskRow, inputs: Sequence[FusionInput], rows: Sequence[Mapping[str, Any] | None]
) -> bool:
    """Say whether all outputs have probabilities of this very image; if not, fail its row."""
    for source, found in zip(inputs, rows, strict=True):
        if found is None:
            row.fail("unreadable", f"{source.name} has no row for this image")
        elif found["image_sha256"] != row.image_sha256:
            row.fail("changed", f"{source.name} has another image of this shard and index")
        elif found["probabilities"] is None:
            row.fail(found["status"], f"{source.name}: {found['error']}")
        elif (found["height"], found["width"]) != (row.height, row.width):
            size = f"{found['width']}x{found['height']}"
            row.fail("changed", f"{source.name} has it with {size} pixels")
        else:
            continue
        return False
    return True
