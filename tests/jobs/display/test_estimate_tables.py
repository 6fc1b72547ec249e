"""What people see of an estimate: amounts with margins, and no more than is known."""

import io

from rich.console import Console

from jobs.display.estimate_tables import estimate_table
from pipeline.estimate.cost import JobEstimate, Speed, estimate_dataset
from pipeline.estimate.size_sample import Draw, SampledImage, SizeSample
from pipeline.estimate.uncertain_amount import Amount


def estimate(*, speed=None, of=3, gpus=0.0, price=None, sizes=((100, 200),) * 3):
    draws = [Draw([SampledImage(*size)], 1, 0) for size in sizes]
    sample = SizeSample(draws, of, True, of, 1)
    dataset = estimate_dataset(
        "pictures", sample, work=lambda h, w: h * w, pixel_flops=1e6, speed=speed
    )
    return JobEstimate([dataset], gpus, 2, price, ["a note"])


def rendered(found):
    console = Console(file=io.StringIO(), width=120)
    console.print(estimate_table(found))
    return console.file.getvalue()


def test_without_a_speed_there_are_sizes_and_operations_and_no_hours():
    text = rendered(estimate())

    assert "pictures: sizes, by the headers of 3 images" in text
    assert "0.0164 to 0.0328" in text  # megapixels, between powers of two
    assert "60,000" in text
    assert "60 G" in text
    assert "note: a note" in text
    assert "hours" not in text


def test_with_a_speed_and_a_price_hours_and_cost_are_told():
    speed = Speed(Amount(0.18), "measured here", 10)  # 3 hours for 60,000 pixels

    text = rendered(estimate(speed=speed, price=2.5))

    assert "images/s per actor" in text
    assert "In all 3.00 actor-hours; 2 actors at work: 1.50 h." in text
    assert "Cost: 7.50, at 2.5 for each actor-hour." in text
    assert "Speed: measured here, 10 images." in text


def test_hours_of_gpus_are_called_so():
    text = rendered(estimate(speed=Speed(Amount(0.18), "there", 1), gpus=1.0))

    assert "GPU-hours" in text
    assert "actor-hours" not in text


def test_margins_are_told_where_they_are_known_and_where_they_are_not():
    some = rendered(estimate(of=100, sizes=((100, 200), (100, 220), (100, 240))))
    one = rendered(estimate(of=100, sizes=((100, 200),)))

    assert "±" in some
    assert "too few looked at for a margin" in " ".join(one.split())


def test_images_that_are_damaged_are_counted_beside_the_sizes():
    text = rendered(estimate(of=2, sizes=((100, 200), (0, 0))))

    words = "by the headers of 2 images, 1 of them gone, damaged or too large"
    assert words in " ".join(text.split())
