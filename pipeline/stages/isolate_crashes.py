"""Parts that killed or failed their actors: made in child processes, the guilty images found.

A part comes here if a run's first pass, with its retries, did not get it committed. Each of its
images is decoded in a child process with limits on memory and time; one that kills the child is a
row `crashed`. The others are then segmented together, as if it had never been decodable, in another
child. If that dies, they are made alone, to find those at which the network dies.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import pyarrow as pa

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.errors import DecodeError, PipelineError
from pipeline.images.decoding import allow_pixels, decode_image
from pipeline.images.decoding_threads import decode_each
from pipeline.images.targets import TargetReader
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.child_process import ChildDiedError, ChildProcess
from pipeline.stages.choose_part_maker import part_maker_of
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.receipt import SegmentedPart
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage

_BYTES_PER_PIXEL = 24  # at the worst moment of decoding 16-bit samples
_MEMORY_BYTES = 1 << 30  # of decoding, beside the pixels
_GRACE_S = 10.0  # beyond the time that decoding may take


class IsolatingPartMaker:
    """Make parts as the job's own `PartMaker` does, in child processes that may die of an image.

    Args:
        job: What to do, and how.
        storage: Access to what the job names.
        threads: Threads of the network on a CPU, and of decoding and encoding.
        stop: Tells when to take no more parts.
    """

    def __init__(self, job: Job, storage: Storage, *, threads: int, stop: StopFlag) -> None:
        self.stop = stop
        self.datasets = {dataset.name: dataset for dataset in job.spec.datasets}
        most_pixels = max(dataset.decode.max_pixels for dataset in job.spec.datasets)
        self.decoding: ChildProcess[_Probe, str | None] = ChildProcess(
            partial(_prepare_decoding, most_pixels),
            memory_bytes=_MEMORY_BYTES + _BYTES_PER_PIXEL * most_pixels,
        )
        self.making = ChildProcess(partial(_prepare_making, job, storage, threads))

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Make one part, a table of one row, into a table of one row.

        Raises:
            ChildDiedError: The part kills its process although no image alone does, or the child
                cannot even start.
            PipelineError: Something that the job names cannot be read: that is no image's fault.
        """
        if self.stop.is_up():
            return SegmentedPart.none()
        with self:
            part = self._marked(EncodedPart.from_table(parts), self._decode_alone)
            made = self._try(part)
            if made is None:
                part = self._marked(part, self._make_alone)
                made = self.making.call(part.to_table())
        return made

    def _try(self, part: EncodedPart) -> pa.Table | None:
        """Make a part whole; None if it cannot be."""
        self.making.start()
        try:
            return self.making.call(part.to_table())
        except PipelineError:
            raise
        except Exception:  # noqa: BLE001 - whose fault it is shows image by image
            return None

    def _marked(
        self, part: EncodedPart, mark: Callable[[EncodedPart, EncodedImage], EncodedImage]
    ) -> EncodedPart:
        return replace(part, images=[mark(part, image) for image in part.images])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the children: they hold memory, and the next part may come much later."""
        self.decoding.close()
        self.making.close()

    def _decode_alone(self, encoded: EncodedPart, image: EncodedImage) -> EncodedImage:
        """Return an image, marked as crashed if decoding it kills a child."""
        if image.image is None:
            return image
        dataset = self.datasets[encoded.part.dataset]
        self.decoding.start()
        try:
            given_up = self.decoding.call(
                _Probe(dataset, image), limit_s=2 * dataset.decode.timeout_s + _GRACE_S
            )
        except ChildDiedError as death:
            return _crashed(image, f"decoding it: the process {death.reason}")
        except MemoryError:
            return _crashed(image, "decoding it took more memory than an image may take")
        if given_up is not None:
            self.decoding.close()  # in a thread of it, the image is still being decoded
            return _crashed(image, given_up)
        return image

    def _make_alone(self, encoded: EncodedPart, image: EncodedImage) -> EncodedImage:
        """Return an image, marked if it alone, as a part, kills a child or fails."""
        if image.image is None:
            return image
        alone = replace(encoded, images=[image], part=replace(encoded.part, images=1))
        self.making.start()
        try:
            self.making.call(alone.to_table())
        except ChildDiedError as death:
            return _crashed(image, f"predicting it: the process {death.reason}")
        except MemoryError:
            return _crashed(image, "predicting it took more memory than there is")
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the row of this image
            return _failed(image, "model_error", f"{type(error).__name__}: {error}")
        return image


@dataclass(frozen=True)
class _Probe:
    """An image to be decoded only to see whether the process survives it."""

    dataset: DatasetSpec
    image: EncodedImage


def _prepare_decoding(most_pixels: int) -> Callable[[_Probe], str | None]:
    allow_pixels(most_pixels)
    return _decode


def _decode(probe: _Probe) -> str | None:
    """Decode an image and its target; say why if it was given up.

    What is merely wrong with them shows later. But one that takes long may take memory for as long,
    which in this process alone is limited.
    """
    [decoded] = decode_each(
        _decode_with_target, [probe], threads=1, timeout_s=2 * probe.dataset.decode.timeout_s
    )
    if isinstance(decoded, DecodeError) and decoded.status == "crashed":
        return decoded.reason
    return None


def _decode_with_target(probe: _Probe) -> None:
    dataset, encoded = probe.dataset, probe.image
    image = decode_image(encoded.image or b"", dataset.decode)
    if encoded.target is not None:
        TargetReader(dataset.label_set(), dataset.labels).read(
            encoded.target,
            (image.pixels.shape[0], image.pixels.shape[1]),
            image.orientation,
            exif_applied="exif_applied" in image.flags,
        )


def _prepare_making(job: Job, storage: Storage, threads: int) -> Callable[[pa.Table], pa.Table]:
    return part_maker_of(job)(job, storage, threads=threads)


def _crashed(image: EncodedImage, reason: str) -> EncodedImage:
    return _failed(image, "crashed", reason)


def _failed(image: EncodedImage, status: str, reason: str) -> EncodedImage:
    return replace(image, status=status, error=reason, image=None, target=None)
