"""The tables of `plan`'s estimate: sizes and work of each dataset, then time and cost."""

import math

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.estimate.cost import DatasetEstimate, JobEstimate
from pipeline.estimate.uncertain_amount import Amount

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def estimate_table(estimate: JobEstimate) -> Group:
    """Return what a job's images are, and what they take, with 95 % margins."""
    tables = [_sizes_table(dataset) for dataset in estimate.datasets if dataset.sizes]
    work = _work_table(estimate)
    lines = [*_sentences(estimate), *(f"note: {note}" for note in estimate.notes)]
    return Group(*tables, work, *(Text(line) for line in lines))


def _sizes_table(dataset: DatasetEstimate) -> Table:
    """Return the images that are left, by size."""
    title = f"{dataset.name}: sizes, by the headers of {dataset.sampled} images"
    if dataset.unusable:
        title += f", {dataset.unusable} of them gone, damaged or too large"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("megapixels", "images", "gigapixels", "share of pixels"):
        table.add_column(name, justify="right")
    pixels = sum(bucket.pixels for bucket in dataset.sizes)
    for bucket in dataset.sizes:
        table.add_row(
            f"{bucket.from_pixels / 1e6:.3g} to {bucket.below_pixels / 1e6:.3g}",
            f"{bucket.images:,.0f}",
            f"{bucket.pixels / 1e9:.3g}",
            f"{bucket.pixels / pixels:.0%}" if pixels else "-",
        )
    return table


def _work_table(estimate: JobEstimate) -> Table:
    """Return the work of each dataset, and the time where the speed is known."""
    timed = any(dataset.speed for dataset in estimate.datasets)
    table = Table(title="To be done", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("dataset", overflow="fold")
    per = "GPU" if estimate.gpus_per_actor else "actor"
    headings = ["images", "pixels", "FLOP", *([f"images/s per {per}", f"{per}-hours"] * timed)]
    for name in headings:
        table.add_column(name, justify="right")
    hours = max(1.0, estimate.gpus_per_actor) / 3600
    for dataset in estimate.datasets:
        cells = [_count(dataset.left), _large(dataset.pixels), _large(dataset.flops)]
        if timed:
            speed = dataset.images_per_s
            speed = speed and speed.scaled(1 / max(1.0, estimate.gpus_per_actor))
            cells += [_plain(speed), _plain(dataset.actor_s and dataset.actor_s.scaled(hours))]
        table.add_row(dataset.name, *cells)
    return table


def _sentences(estimate: JobEstimate) -> list[str]:
    """Say what all datasets take together, and what that is reckoned with."""
    paid, least = estimate.paid_hours, estimate.least_hours
    if paid is None or least is None:
        return []
    per = "GPU" if estimate.gpus_per_actor else "actor"
    workers = f"{estimate.actors} actor{'s' * (estimate.actors > 1)}"
    lines = [f"In all {_plain(paid)} {per}-hours; {workers} at work: {_plain(least)} h."]
    if estimate.cost is not None:
        lines.append(
            f"Cost: {_plain(estimate.cost)}, at {estimate.price_per_hour:g} for each {per}-hour."
        )
    measured = {
        f"Speed: {each.speed.measured_on}, {each.speed.images} images."
        for each in estimate.datasets
        if each.speed
    }
    return [*lines, *sorted(measured)]


def _count(amount: Amount) -> str:
    """Return a number of things, with its margin unless it is known."""
    if amount.margin == 0:
        return f"{amount.value:,.0f}"
    return f"about {amount.value:,.0f}{_margin(amount)}"


def _large(amount: Amount | None) -> str:
    if amount is None:
        return "-"
    for size, prefix in _PREFIXES:
        if amount.value >= size:
            return f"{amount.value / size:.3g} {prefix}{_margin(amount)}"
    return f"{amount.value:,.0f}{_margin(amount)}"


def _plain(amount: Amount | None) -> str:
    """Return a number with three digits that count."""
    if amount is None:
        return "-"
    value = amount.value
    digits = max(0, 2 - math.floor(math.log10(value))) if 0 < value < 100 else 0
    return f"{value:,.{digits}f}{_margin(amount)}"


def _margin(amount: Amount) -> str:
    if amount.margin is None:
        return " (too few looked at for a margin)"
    if not amount.margin or not amount.value:
        return ""
    percent = amount.margin / amount.value
    return f" ±{percent:.1%}" if percent < 0.1 else f" ±{percent:.0%}"
