"""How much work a job is, how long it takes and what it costs: arithmetic on a sample."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pipeline.estimate.size_sample import SampledImage, SizeSample
from pipeline.estimate.uncertain_amount import LEVEL, Amount, ratio, total

_HOUR_S = 3600.0

Work = Callable[[int, int], int]
"""Pixels that go through the network, by the height and width of an image."""


@dataclass(frozen=True)
class SizeBucket:
    """The images of about one size.

    Attributes:
        from_pixels: Height times width at least; a power of two.
        below_pixels: Less than that: twice as many.
        images: How many there are, about.
        pixels: What they have together.
    """

    from_pixels: int
    below_pixels: int
    images: float
    pixels: float


@dataclass(frozen=True)
class Speed:
    """How fast one actor is, alone on its device.

    Attributes:
        pixel_s: Seconds for each pixel that goes through the network, with all that is done beside.
        measured_on: Device, and how it was measured.
        images: How many images were measured.
    """

    pixel_s: Amount
    measured_on: str
    images: int


@dataclass(frozen=True)
class DatasetEstimate:
    """What one dataset takes; amounts are of the images that are not committed yet.

    Attributes:
        name: The dataset's name.
        images: Images in all.
        left: Those to be segmented.
        sampled: Images that were looked at.
        unusable: Those of them that are gone, damaged or too large.
        pixels: Height times width, added up.
        sizes: The same by size; empty if no size is known.
        network_pixels: Pixels that go through the network; None without one.
        flops: Its floating-point operations, two for each multiply-add.
        images_per_s: Of one actor; None if nobody has measured.
        actor_s: Seconds of one actor.
        speed: What that is reckoned with.
    """

    name: str
    images: Amount
    left: Amount
    sampled: int
    unusable: int
    pixels: Amount
    sizes: Sequence[SizeBucket]
    network_pixels: Amount | None = None
    flops: Amount | None = None
    images_per_s: Amount | None = None
    actor_s: Amount | None = None
    speed: Speed | None = None


@dataclass(frozen=True)
class JobEstimate:
    """What a job takes.

    Attributes:
        datasets: Each dataset.
        gpus_per_actor: GPUs that an actor is paid for; 0 on a CPU, where the actor itself is.
        actors: At most so many work at a time.
        price_per_hour: Of a GPU, or on a CPU of an actor's machine; None if nobody has said.
        notes: What the figures leave out.
    """

    datasets: Sequence[DatasetEstimate]
    gpus_per_actor: float
    actors: int
    price_per_hour: float | None = None
    notes: Sequence[str] = ()

    @cached_property
    def actor_s(self) -> Amount | None:
        """Seconds of all actors together."""
        known = [each.actor_s for each in self.datasets if each.actor_s is not None]
        return total(known) if known else None

    @property
    def paid_hours(self) -> Amount | None:
        """Hours of GPUs, or of actors on a CPU.

        Of a GPU that several actors share it is taken that they are no faster than one alone.
        """
        if self.actor_s is None:
            return None
        return self.actor_s.scaled(max(1.0, self.gpus_per_actor) / _HOUR_S)

    @property
    def least_hours(self) -> Amount | None:
        """Hours that pass with all actors at work from beginning to end."""
        if self.actor_s is None:
            return None
        return self.actor_s.scaled(1 / max(1.0, self._at_once) / _HOUR_S)

    @property
    def cost(self) -> Amount | None:
        """Hours times price."""
        if self.paid_hours is None or self.price_per_hour is None:
            return None
        return self.paid_hours.scaled(self.price_per_hour)

    def to_json(self) -> dict[str, Any]:
        """Return all that is known as strict JSON; an amount has a `value` and a `margin`."""
        totals = {
            "actor_s": self.actor_s,
            "paid_hours": self.paid_hours,
            "least_hours": self.least_hours,
            "cost": self.cost,
        }
        return {
            "level": LEVEL,
            **asdict(self),
            **{name: amount and asdict(amount) for name, amount in totals.items()},
        }

    @property
    def _at_once(self) -> float:
        """Actors that do not wait for each other's GPU."""
        return self.actors * min(1.0, self.gpus_per_actor or 1.0)


def estimate_dataset(
    name: str,
    sample: SizeSample,
    *,
    done: float = 0.0,
    limit: int | None = None,
    work: Work | None = None,
    pixel_flops: float = 0.0,
    speed: Speed | None = None,
) -> DatasetEstimate:
    """Reckon what a dataset takes.

    Args:
        name: Its name.
        sample: A sample of its images.
        done: Images that are committed.
        limit: At most so many images are taken.
        work: What an image is for the network; None without a network.
        pixel_flops: Operations for each pixel that goes through it.
        speed: Of an actor, if somebody has measured.
    """
    images = _images(sample, limit)
    left = Amount(max(0.0, images.value - done), images.margin)
    pixels = left.times(_mean(sample, lambda height, width: height * width))
    network_pixels = work and left.times(_mean(sample, work))
    images_per_s = actor_s = None
    if work is not None and network_pixels is not None and speed is not None:
        actor_s = network_pixels.times(speed.pixel_s)
        image_s = _mean(sample, work).times(speed.pixel_s)
        images_per_s = image_s.inverse() if image_s.value else None
    return DatasetEstimate(
        name=name,
        images=images,
        left=left,
        sampled=len(sample.sampled),
        unusable=sum(not image.height for image in sample.sampled),
        pixels=pixels,
        sizes=_sizes(sample, left.value),
        network_pixels=network_pixels,
        flops=network_pixels and network_pixels.scaled(pixel_flops),
        images_per_s=images_per_s,
        actor_s=actor_s,
        speed=speed,
    )


def _images(sample: SizeSample, limit: int | None) -> Amount:
    """Return how many images there are: as planned, or by how many the bytes read have."""
    if sample.images is not None:
        return Amount(sample.images)
    read_all = sum(draw.read_bytes for draw in sample.draws) >= sample.size_bytes
    of = sample.of if sample.whole or read_all else None
    draws = [(float(draw.seen), float(draw.read_bytes)) for draw in sample.draws]
    found = (
        ratio(draws, of=of) if any(draw.read_bytes for draw in sample.draws) else Amount(0, None)
    )
    images = found.scaled(sample.size_bytes)
    return Amount(limit) if limit is not None and limit < images.value else images


def _mean(sample: SizeSample, measure: Work) -> Amount:
    """Return the mean of what images measure; those that will not be segmented count as 0."""
    draws = [
        (sum(_measured(draw.images, measure)) / len(draw.images) * draw.seen, float(draw.seen))
        for draw in sample.draws
        if draw.images
    ]
    if not draws:
        return Amount(0, None)
    if len(draws) == 1 and not sample.whole:  # of one shard alone: take its images for drawn
        return ratio([(value, 1.0) for value in _measured(sample.sampled, measure)])
    return ratio(draws, of=sample.of if sample.whole else None)


def _measured(images: Sequence[SampledImage], measure: Work) -> list[float]:
    return [float(measure(each.height, each.width)) if each.height else 0.0 for each in images]


def _sizes(sample: SizeSample, left: float) -> list[SizeBucket]:
    """Return the images that are left by size, in powers of two."""
    weights: dict[int, float] = {}
    pixels: dict[int, float] = {}
    for draw in sample.draws:
        for image in draw.images:
            weight = draw.seen / len(draw.images)
            area = image.height * image.width
            if area:
                power = area.bit_length() - 1
                weights[power] = weights.get(power, 0.0) + weight
                pixels[power] = pixels.get(power, 0.0) + weight * area
    seen = sum(draw.seen for draw in sample.draws if draw.images)
    return [
        SizeBucket(
            1 << power, 2 << power, weights[power] * left / seen, pixels[power] * left / seen
        )
        for power in sorted(weights)
    ]
