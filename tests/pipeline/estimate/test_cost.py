"""What a job takes and costs, worked by hand."""

import json

import pytest

from pipeline.estimate.cost import JobEstimate, SizeBucket, Speed, estimate_dataset
from pipeline.estimate.size_sample import Draw, SampledImage, SizeSample
from pipeline.estimate.uncertain_amount import Amount

SPEED = Speed(Amount(1e-3), "by hand", 10)


def sample(*sizes, of=None, images=None, whole=True):
    draws = [Draw([SampledImage(*size)], 1, 0) for size in sizes]
    of = len(sizes) if of is None else of
    return SizeSample(draws, of, whole, of if images is None else images, 1)


def work(height, width):
    """Look at images at half their sides, and mirrored."""
    return height * width // 2


def test_a_dataset_takes_what_its_images_take():
    found = estimate_dataset("d", sample((10, 20), (20, 30)), work=work, pixel_flops=7, speed=SPEED)

    assert found.pixels.value == 800
    assert found.network_pixels.value == 400
    assert found.flops.value == 2800
    assert found.actor_s.value == pytest.approx(0.4)
    assert found.images_per_s.value == pytest.approx(5)
    assert found.actor_s.margin == 0


def test_what_is_committed_is_not_reckoned_again():
    found = estimate_dataset("d", sample((10, 10), (10, 10), of=10), done=6, work=work, speed=SPEED)

    assert (found.images.value, found.left.value) == (10, 4)
    assert found.actor_s.value == pytest.approx(4 * 50 * 1e-3)


def test_the_margins_of_sample_and_speed_add_as_squares():
    # Of 2, 4, 6 times 100 pixels of a 100 images, and of a speed that is off by 30 %.
    speed = Speed(Amount(1e-3, 0.3e-3), "by hand", 10)
    found = estimate_dataset(
        "d", sample((10, 20), (10, 40), (10, 60), of=100), work=work, speed=speed
    )

    share = 4.3027 * (0.97 * 4 / 3) ** 0.5 / 4
    assert found.pixels.margin / found.pixels.value == pytest.approx(share)
    relative = found.actor_s.margin / found.actor_s.value
    assert relative == pytest.approx((share**2 + 0.3**2) ** 0.5)


def test_images_are_grouped_by_size():
    found = estimate_dataset("d", sample((16, 16), (16, 20), (64, 64), (0, 0), of=40))

    assert found.sizes == [
        SizeBucket(256, 512, 20, 10 * (256 + 320)),
        SizeBucket(4096, 8192, 10, 10 * 4096),
    ]


@pytest.mark.parametrize(
    ("gpus", "actors", "paid", "least"),
    [
        (0, 4, 2.0, 0.5),
        (1, 4, 2.0, 0.5),
        (2, 4, 4.0, 0.5),  # each actor is paid for two GPUs
        (0.25, 4, 2.0, 2.0),  # four share a GPU, and are no faster than one alone
    ],
)
def test_hours_are_those_that_are_paid_for(gpus, actors, paid, least):
    one = estimate_dataset("d", sample((100, 144), of=1000), work=work, speed=SPEED)
    job = JobEstimate([one], gpus, actors, price_per_hour=3)

    assert job.actor_s.value == pytest.approx(7200)
    assert job.paid_hours.value == pytest.approx(paid)
    assert job.least_hours.value == pytest.approx(least)
    assert job.cost.value == pytest.approx(3 * paid)


def test_without_a_speed_there_are_no_hours_and_json_is_strict():
    one = estimate_dataset("d", sample((10, 10), of=50), work=work, pixel_flops=2)
    job = JobEstimate([one], 0, 1)

    content = json.loads(json.dumps(job.to_json(), allow_nan=False))

    assert content["datasets"][0]["flops"] == {"value": 5000, "margin": None}
    assert content["paid_hours"] is content["cost"] is content["actor_s"] is None
    assert content["level"] == 0.95
