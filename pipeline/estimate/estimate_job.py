"""What a run would do, take and cost, said beforehand; nothing is written."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import refinenet_core
from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import SpecError
from pipeline.estimate.benchmark_record import SpeedRecord
from pipeline.estimate.calibration import CALIBRATING_IMAGES, calibrate
from pipeline.estimate.cost import DatasetEstimate, JobEstimate, Speed, Work, estimate_dataset
from pipeline.estimate.size_sample import SizeSample, sample_sizes
from pipeline.execution.actor_pool import plan_pool
from pipeline.execution.load_plans import plans_of
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.output_folder import Output
from pipeline.output.progress import DatasetProgress
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.storage.storage import Storage

_CALIBRATION_S = 20.0  # shared by the datasets


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        datasets: What is planned, and what of it is committed.
        estimate: What the rest takes.
    """

    datasets: Sequence[DatasetProgress]
    estimate: JobEstimate


def forecast(
    spec: JobSpec,
    *,
    calibration: bool = False,
    record: Path | None = None,
    price_per_hour: float | None = None,
) -> Forecast:
    """Say what a run would do and what it takes, and write nothing.

    Args:
        spec: The job.
        calibration: Measure the speed here, on some of the images.
        record: Take the speed from a benchmark's record instead.
        price_per_hour: Of a GPU, or on a CPU of an actor's machine.

    Raises:
        PipelineError: The spec, a dataset, the storage, the output or the record is wrong.
        CheckpointError: The checkpoint does not fit the model.
    """
    _check(spec, calibration=calibration, record=record, price_per_hour=price_per_hour)
    known = SpeedRecord.read(record) if record else None
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    job = _prepare(spec, storage, known)
    plans = plans_of(job, output, output.check(job))
    keep = CALIBRATING_IMAGES if calibration else 0
    samples = [
        sample_sizes(dataset, _whole(plan, output), storage, keep=keep)
        for dataset, plan in zip(job.spec.datasets, plans, strict=True)
    ]
    work = _work(job) if job.spec.model else None
    speeds: list[Speed | None] = [known.speed() if known else None] * len(samples)
    if calibration and work:
        speeds = list(_calibrated(job, storage, samples, work))
    progress = [output.progress(plan) for plan in plans]
    estimate = JobEstimate(
        _datasets(job, progress, samples, speeds, work),
        job.gpus_per_actor,
        plan_pool(job).actors.max,
        price_per_hour,
        _notes(job, progress, known, calibration=calibration),
    )
    return Forecast(progress, estimate)


def _datasets(
    job: Job,
    progress: Sequence[DatasetProgress],
    samples: Sequence[SizeSample],
    speeds: Sequence[Speed | None],
    work: Work | None,
) -> list[DatasetEstimate]:
    pixel_flops = _pixel_flops(job, samples) if work else 0.0
    return [
        estimate_dataset(
            each.name,
            sample,
            done=each.committed_images or 0,
            limit=job.spec.limit_images,
            work=work,
            pixel_flops=pixel_flops,
            speed=speed,
        )
        for each, sample, speed in zip(progress, samples, speeds, strict=True)
    ]


def _check(
    spec: JobSpec, *, calibration: bool, record: Path | None, price_per_hour: float | None
) -> None:
    """Refuse what does not go together.

    Raises:
        SpecError: Something does not.
    """
    if calibration and record:
        raise SpecError("plan", ("a speed is calibrated here or taken from a record, not both",))
    if price_per_hour is not None and not (calibration or record):
        reason = (
            "a price needs a speed; add --calibrate, which measures it here in about "
            f"{_CALIBRATION_S:.0f} s, or --record FILE, which `refinenet-batch benchmark --json` "
            "prints"
        )
        raise SpecError("plan", (reason,))
    if spec.model is None and (calibration or record):
        raise SpecError(
            "plan", ("this job has no model whose speed could be told; leave out speed and price",)
        )


def _prepare(spec: JobSpec, storage: Storage, record: SpeedRecord | None) -> Job:
    """Prepare a job; with a record of a GPU, as on a machine that has such ones."""
    if record is None:
        return prepare_job(spec, storage)
    gpus = sys.maxsize if record.on_gpu else None
    if record.on_gpu and spec.inference.precision == "auto":
        # What `auto` stands for on that GPU, which need not be here.
        inference = spec.inference.model_copy(update={"precision": record.precision})
        spec = spec.model_copy(update={"inference": inference})
    job = prepare_job(spec, storage, gpus=gpus)
    record.check(job)
    return job


def _whole(plan: DatasetPlan, output: Output) -> DatasetPlan:
    """Return a plan with all its columns; of a frozen one only some were read."""
    if "part" in plan.table.schema.names and "uri" not in plan.table.schema.names:
        return DatasetPlan(plan.dataset, output.read_plan_table(plan.dataset))
    return plan


def _work(job: Job) -> Work:
    """Return what an image is for the job's network, each size reckoned once."""
    from refinenet_core.prediction.network_pixels import PIXELS_PER_PASS, network_pixels  # noqa: PLC0415 - PyTorch

    inference = job.spec.inference
    return cache(
        partial(
            network_pixels,
            scales=inference.scales,
            flip=inference.flip,
            protocol=inference.protocol,
            max_pixels_per_pass=inference.max_pixels_per_pass or PIXELS_PER_PASS[job.device],
        )
    )


def _pixel_flops(job: Job, samples: Sequence[SizeSample]) -> float:
    """Return the network's operations for a pixel, at the size that is in the middle."""
    sizes = [(e.height, e.width) for sample in samples for e in sample.sampled if e.height]
    height, width = sorted(sizes, key=math.prod)[len(sizes) // 2] if sizes else (512, 512)
    network = job.spec.network
    cost = refinenet_core.model_cost(
        network.name or "",
        height,
        width,
        network.num_classes or 0,
        poolings=network.poolings or 0,
    )
    return cost.flops / (height * width)


def _calibrated(
    job: Job, storage: Storage, samples: Sequence[SizeSample], work: Work
) -> Iterator[Speed]:
    """Yield the speed of the job's own part maker on each dataset."""
    from pipeline.stages.choose_part_maker import part_maker_of  # noqa: PLC0415 - PyTorch

    make = part_maker_of(job)(job, storage, threads=plan_pool(job).threads)
    limit_s = _CALIBRATION_S / len(samples)
    for dataset, sample in zip(job.spec.datasets, samples, strict=True):
        yield calibrate(make, dataset, sample, job=job, work=work, limit_s=limit_s)


def _notes(
    job: Job,
    progress: Sequence[DatasetProgress],
    record: SpeedRecord | None,
    *,
    calibration: bool,
) -> list[str]:
    """Say what the figures leave out."""
    notes = []
    if any(each.committed_images is None for each in progress):
        notes.append("too much is committed to be counted here: the figures are of all images")
    if calibration or record:
        notes.append("starting is not in the hours: Ray, actors, the checkpoint")
    if calibration and plan_pool(job).actors.max > 1:
        notes.append("one actor was measured alone; several on one machine are each slower")
    return notes + (record.notes(job) if record else [])
