"""The speed in a benchmark's record, as `refinenet-batch benchmark --json` prints it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.errors import SpecError
from pipeline.estimate.cost import Speed
from pipeline.estimate.uncertain_amount import Amount
from pipeline.spec.resolved_job import Job


@dataclass(frozen=True)
class SpeedRecord:
    """What a benchmark has measured of the predictor.

    Attributes:
        source: The file.
        model: The network's name.
        num_classes: Its classes.
        precision: Of its arithmetic.
        scales: As the predictor's.
        height: Of the images.
        width: Likewise.
        images: Images that were measured.
        images_per_s: Of the predictor.
        device: Name of the device.
        on_gpu: Whether that is a GPU.
    """

    source: str
    model: str
    num_classes: int
    precision: str
    scales: tuple[float, ...]
    height: int
    width: int
    images: int
    images_per_s: float
    device: str
    on_gpu: bool

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record.

        Raises:
            SpecError: The file is missing, or is no record.
        """
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(str(path), (f"cannot be read: {error.strerror}",)) from error
        except ValueError as error:
            raise SpecError(str(path), (f"is not JSON: {error}",)) from error
        try:
            setting = content["setting"]
            return cls(
                source=str(path),
                model=str(setting["model"]),
                num_classes=int(setting["num_classes"]),
                precision=str(setting["precision"]),
                scales=tuple(map(float, setting["scales"])),
                height=int(setting["height"]),
                width=int(setting["width"]),
                images=int(setting["images"]) * int(setting["rounds"]),
                images_per_s=float(content["images_per_s"]),
                device=str(content["hardware"]["device"]),
                on_gpu=bool(content["peak_bytes"]),  # PyTorch counts it on a GPU alone
            )
        except (KeyError, TypeError, ValueError) as error:
            reason = (
                f"is no record of a benchmark ({type(error).__name__}: {error}); write one with "
                "`refinenet-batch benchmark --model NAME --json > FILE`"
            )
            raise SpecError(str(path), (reason,)) from error

    def check(self, job: Job) -> None:
        """Refuse a record that does not tell a job's speed.

        Raises:
            SpecError: It is of another model, or of another kind of device.
        """
        model = job.spec.network.name
        if model != self.model:
            reason = (
                f"is of the model {self.model}, the job's is {model}; measure that one with "
                f"`refinenet-batch benchmark --model {model} --json`, on a machine like those that "
                "the job will run on"
            )
            raise SpecError(self.source, (reason,))
        if self.on_gpu != bool(job.gpus_per_actor):
            there, here = ("a GPU", "CPUs") if self.on_gpu else ("a CPU", "GPUs")
            reason = (
                f"is of {there} ({self.device}), the job runs on {here} (resources.gpus_per_actor "
                f"is {job.spec.resources.gpus_per_actor}); give a record of {here}, or change that"
            )
            raise SpecError(self.source, (reason,))

    def speed(self) -> Speed:
        """Return the speed: what was measured over what goes through the network."""
        from refinenet_core.prediction.network_pixels import PIXELS_PER_PASS, network_pixels  # noqa: PLC0415

        kind = "cuda" if self.on_gpu else "cpu"
        pixels = network_pixels(
            self.height, self.width, self.scales, max_pixels_per_pass=PIXELS_PER_PASS[kind]
        )
        return Speed(
            Amount(1 / (self.images_per_s * pixels)),
            f"{self.device}, by {self.source}",
            self.images,
        )

    def notes(self, job: Job) -> list[str]:
        """Say where what was measured differs from what the job will do."""
        scope = (
            "the record is of the predictor alone: reading, decoding and encoding are not in it, "
            "nor how much its own figure varies"
        )
        there = {
            "precision": self.precision,
            "scales": list(self.scales),
            "num_classes": self.num_classes,
        }
        differing = [
            f"{name} {value} there, {job.fingerprint[name]} in the job"
            for name, value in there.items()
            if value != job.fingerprint[name]
        ]
        if not differing:
            return [scope]
        difference = (
            f"the record differs from the job: {'; '.join(differing)}; its speed by pixels of the "
            "network is taken all the same"
        )
        return [scope, difference]
