"""The table of the scaling benchmark: a row for each number of actors."""

from rich.box import SIMPLE
from rich.filesize import decimal
from rich.table import Table

from jobs.benchmarks.scaling import ScalingRecord, ScalingRun

_COLUMNS = (
    ("actors", 2),
    ("ideal", 5),
    ("images/s", 6),
    ("of ideal", 5),
    ("busy", 4),
    ("first part", 6),
    ("tail", 6),
    ("driver CPU", 6),
    ("memory", 7),
    ("store", 7),
)


def scaling_table(record: ScalingRecord) -> Table:
    """Return what was measured with each number of actors."""
    ray, processor = record.hardware["ray"], record.hardware["processor"]
    table = Table(
        title=f"Actors that sleep {record.image_s * 1000:g} ms an image, {record.part_images} "
        f"images a part ({record.image_s * record.part_images:g} s), on {processor}, Ray {ray}",
        caption="images/s once all actors are at work; busy: share of their time that they hold a "
        "part; driver: CPU and memory for 1000 parts; store: peak of Ray's object store",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for name, width in _COLUMNS:
        table.add_column(name, justify="right", min_width=width)
    for run in record.runs:
        table.add_row(*_cells(run))
    return table


def _cells(run: ScalingRun) -> list[str]:
    steady = ["-", "-", "-"]
    if run.images_per_s is not None and run.efficiency is not None and run.busy is not None:
        steady = [f"{run.images_per_s:.1f}", f"{run.efficiency:.3f}", f"{run.busy:.0%}"]
    at_work = "" if run.at_work >= run.actors else f" ({run.at_work} at work)"
    return [
        f"{run.actors}{at_work}",
        f"{run.ideal_images_per_s:g}",
        *steady,
        f"{run.first_part_s:.1f} s",
        f"{run.tail_s:.1f} s",
        f"{run.driver_cpu_s:.1f} s",
        decimal(round(run.driver_bytes)),
        decimal(run.store_bytes),
    ]
