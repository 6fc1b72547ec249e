"""A benchmark of all but the network: how near many actors come to as many times one's speed.

The pipeline is the real one, from the plan to the commit; only in place of predicting its actors
sleep for a stated time, so that two cores carry them. What is lost is reading's, Ray's, the
driver's or committing's.
"""

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from jobs.benchmarks.driver_watch import DriverWatch
from jobs.benchmarks.sleeping_actor import sleeper_of
from jobs.benchmarks.steady_state import Work, most_at_once, steady_state
from pipeline.datasets.make_plan import plan_dataset
from pipeline.execution.executor import JobRun
from pipeline.execution.make_parts import Execution
from pipeline.execution.observer import Silent
from pipeline.execution.prepare_job import prepare_job
from pipeline.execution.ray_data import ACTOR_CPUS, RayData
from pipeline.execution.ray_session import running_ray
from pipeline.output.job_record import library_versions
from pipeline.output.output_folder import Output
from pipeline.spec.job_spec import JobSpec
from pipeline.stages.receipt import StageSeconds
from pipeline.storage.storage import Storage
from refinenet_core.cpu_name import processor_name

STEADY_S: Final = 60.0  # of work for each actor, where the number of images is not given
_SPARE_CPUS: Final = 2  # logical ones, for reading and committing
_PICTURES: Final = 16  # that differ
_SIZE: Final = (96, 128)


@dataclass(frozen=True)
class ScalingRun:
    """What was measured with a number of actors.

    Attributes:
        actors: How many.
        images: Images in the run.
        parts: Parts.
        ideal_images_per_s: Actors over the time that each sleeps an image.
        images_per_s: In the steady state, from when all actors were at work until the last part
            was taken; None if there was none.
        efficiency: That over the ideal.
        busy: Share of the actors' time in it that they held a part.
        steady_s: Its length.
        at_work: Actors that were at work at once, at most.
        first_part_s: From the start, with Ray running, until the first part was committed.
        tail_s: From when the last part was taken until all was committed.
        part_s: What a part takes at the ideal speed; no tail is shorter.
        wall_s: From the start until all was committed.
        driver_cpu_s: Seconds of CPU of the driver, for a thousand parts after the first.
        driver_bytes: Resident memory that it grew by, for a thousand parts after the first.
        store_bytes: The most that Ray's object store held.
        spilled_bytes: What it wrote to disk.
        stage_s: Seconds of each stage, added up over workers.
    """

    actors: int
    images: int
    parts: int
    ideal_images_per_s: float
    images_per_s: float | None
    efficiency: float | None
    busy: float | None
    steady_s: float
    at_work: int
    first_part_s: float
    tail_s: float
    part_s: float
    wall_s: float
    driver_cpu_s: float
    driver_bytes: float
    store_bytes: int
    spilled_bytes: int
    stage_s: StageSeconds


@dataclass(frozen=True)
class ScalingRecord:
    """Runs with several numbers of actors.

    Attributes:
        image_s: Seconds that an actor sleeps for an image.
        part_images: Images in a part.
        hardware: What it ran on, with versions.
        runs: Each run.
    """

    image_s: float
    part_images: int
    hardware: Mapping[str, str]
    runs: Sequence[ScalingRun]


def record_scaling(
    actors: Sequence[int], *, image_s: float, images: int | None = None, part_images: int = 8
) -> ScalingRecord:
    """Measure several numbers of actors, one after the other; see `measure_scaling`."""
    runs = [
        measure_scaling(number, image_s=image_s, images=images, part_images=part_images)
        for number in actors
    ]
    hardware = {"processor": processor_name(), **library_versions()}
    return ScalingRecord(image_s, part_images, hardware, runs)


def measure_scaling(
    actors: int, *, image_s: float, images: int | None = None, part_images: int = 8
) -> ScalingRun:
    """Run the pipeline on small JPEGs in a temporary folder, with actors that sleep.

    Args:
        actors: How many.
        image_s: Seconds that each sleeps for an image.
        images: Images in all; by default as many as keep each actor at work for `STEADY_S`.
        part_images: Images in a part.
    """
    if images is None:
        parts_each = max(2, math.ceil(STEADY_S / (image_s * part_images)))
        images = actors * parts_each * part_images
    # Logical CPUs are what Ray schedules by; sleeping takes none.
    num_cpus = math.ceil(actors * ACTOR_CPUS) + _SPARE_CPUS
    with tempfile.TemporaryDirectory() as folder, running_ray(num_cpus=num_cpus):
        _write_images(Path(folder) / "images", images)
        spec = _spec(Path(folder), actors, part_images)
        return _run(spec, actors, image_s)


def _run(spec: JobSpec, actors: int, image_s: float) -> ScalingRun:
    storage = Storage()
    output = Output(spec.output, storage)
    job = prepare_job(spec, storage)
    record = output.claim(job)
    plan = output.freeze(plan_dataset(job.spec.datasets[0], job.spec, storage))
    job_run = JobRun(job, output, record, stand_in=sleeper_of(image_s))
    execution = Execution(job_run, [plan], Silent(), RayData())
    works: list[Work] = []
    stage_s, first_part_s = StageSeconds(), math.nan
    began_at, start = time.time(), time.perf_counter()
    with DriverWatch() as watch:
        for receipt in execution.make_parts(output.missing([plan])):
            if not works:
                first_part_s = time.perf_counter() - start
                watch.begin()
            works.append(Work.of(receipt))
            stage_s += receipt.seconds
        wall_s = time.perf_counter() - start
    steady = steady_state(works, actors)
    ideal = actors / image_s
    more_parts = max(1, len(works) - 1)
    last_taken_s = max(work.begin_s for work in works) - began_at
    return ScalingRun(
        actors=actors,
        images=sum(work.images for work in works),
        parts=len(works),
        ideal_images_per_s=ideal,
        images_per_s=steady.images_per_s if steady else None,
        efficiency=steady.images_per_s / ideal if steady else None,
        busy=steady.busy if steady else None,
        steady_s=steady.seconds if steady else 0.0,
        at_work=most_at_once(works),
        first_part_s=first_part_s,
        tail_s=wall_s - last_taken_s,
        part_s=spec.part_images * image_s,
        wall_s=wall_s,
        driver_cpu_s=watch.cpu_s * 1000 / more_parts,
        driver_bytes=watch.grown_bytes * 1000 / more_parts,
        store_bytes=watch.store_bytes,
        spilled_bytes=watch.spilled_bytes,
        stage_s=stage_s,
    )


def _spec(folder: Path, actors: int, part_images: int) -> JobSpec:
    """Return a job without a model, since none is loaded; its images are taken for masks."""
    content: dict[str, Any] = {
        "name": "scaling",
        "datasets": [
            {
                "name": "pictures",
                "images": str(folder / "images" / "*.jpg"),
                "classes": ["nothing"],
                "predictions": {},
            }
        ],
        "output": str(folder / "output"),
        "part_images": part_images,
        "resources": {"actors": {"min": actors, "max": actors}, "threads_per_actor": 1},
    }
    return JobSpec.from_mapping(content)


def _write_images(folder: Path, images: int) -> None:
    """Write small JPEGs, of which some differ."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    originals: list[Path] = []
    for number in range(images):
        path = folder / f"{number:06d}.jpg"
        if number < _PICTURES:
            coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(_SIZE[::-1]).save(path, quality=85)
            originals.append(path)
        else:
            path.write_bytes(originals[number % _PICTURES].read_bytes())
