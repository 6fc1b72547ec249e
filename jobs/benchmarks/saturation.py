"""Where a run saturates: what one driver and one prefix of a bucket can feed, in tables.

What is measured comes from a record of the scaling benchmark and from `docs/measurements.md`; what
is assumed is in `GPUS` and `Images`. The tables of `docs/scaling.md` are what this prints:

    python -m jobs.benchmarks.saturation docs/benchmarks/2026-11-22-cpu-scaling-20ms.json
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from refinenet_core import model_cost

_BLOCK_BYTES: Final = 8 << 20  # of a tar, read at a time
_OBJECT_REQUESTS: Final = 2  # HEAD and GET: `tests/runs/test_requests.py`
_PREFIX_GETS_PER_S: Final = 5500  # AWS, "Optimizing Amazon S3 performance": for each prefix
_DRIVER_SHARE: Final = 0.7  # of a core: Ray Data's loop and the run's share Python's lock


@dataclass(frozen=True)
class Images:
    """What images are like.

    Attributes:
        height: In pixels.
        width: Likewise.
        encoded_bytes: Of one.
        cpu_s: Seconds of a core to decode one, count, and encode its mask.
    """

    height: int = 375
    width: int = 500
    encoded_bytes: int = 100_000
    cpu_s: float = 0.0064  # CamVid's, `docs/measurements.md`


@dataclass(frozen=True)
class Network:
    """A network and the scales that it runs at."""

    name: str
    scales: tuple[float, ...]

    @property
    def title(self) -> str:
        """What tables call it."""
        number = len(self.scales)
        return f"`{self.name}`, {number} scale{'s' if number > 1 else ''}"

    def flops(self, images: Images) -> float:
        """Return its floating-point operations for an image."""
        return sum(
            _flops(self.name, round(images.height * scale), round(images.width * scale))
            for scale in self.scales
        )


@dataclass(frozen=True)
class Gpu:
    """A GPU with the cores beside it.

    Attributes:
        name: What it is like.
        flops_per_s: What it keeps up in convolutions: an assumption, no GPU was measured.
        cores: CPU cores for each GPU.
    """

    name: str
    flops_per_s: float
    cores: int

    def images_per_s(self, network: Network, images: Images) -> float:
        """Return what an actor makes: it decodes, predicts and encodes one after the other."""
        return 1 / (network.flops(images) / self.flops_per_s + images.cpu_s / self.cores)


LIGHTEST: Final = Network("refinenet_lw_mobilenet_v2", (1.0,))
HEAVIEST: Final = Network("refinenet101", (0.4, 0.6, 0.8, 1.0, 1.2))
GPUS: Final = (
    Gpu("100 TFLOP/s, 12 cores", 100e12, 12),
    Gpu("300 TFLOP/s, 24 cores", 300e12, 24),
)


def driver_s_per_part(record: Mapping[str, Any]) -> float:
    """Return the seconds of CPU that a part takes of the driver, with the most actors of a record.

    Args:
        record: What `benchmark-scaling --json` printed.
    """
    run = max(record["runs"], key=lambda run: int(run["actors"]))
    return float(run["driver_cpu_s"]) / 1000


def tables(part_s: float, images: Images = Images()) -> str:
    """Return the tables of `docs/scaling.md`.

    Args:
        part_s: Seconds of CPU that a part takes of the driver.
        images: What images are like.
    """
    cases = [
        Case(network, gpu, gpu.images_per_s(network, images))
        for network in (LIGHTEST, HEAVIEST)
        for gpu in GPUS
    ]
    parts_per_s = _DRIVER_SHARE / part_s
    driver = f"One driver passes on {parts_per_s:.0f} parts a second ({part_s * 1000:.1f} ms each)."
    return "\n\n".join(
        (
            driver,
            _table(_driver_columns(parts_per_s), cases),
            _table(_bucket_columns(images), cases),
            _table(_billion_columns(), cases),
        )
    )


@dataclass(frozen=True)
class Case:
    """A network on a kind of GPU, and how many images a second that makes."""

    network: Network
    gpu: Gpu
    images_per_s: float


Columns = Mapping[str, Callable[[Case], float]]


def _driver_columns(parts_per_s: float) -> Columns:
    """Return how many GPUs one driver feeds, by the images of a part."""

    def fed(part_images: int) -> Callable[[Case], float]:
        return lambda case: parts_per_s * part_images / case.images_per_s

    parts = {f"GPUs with {size} images a part": fed(size) for size in (256, 1024, 2048)}
    return {"images/s of a GPU": lambda case: case.images_per_s, **parts}


def _bucket_columns(images: Images) -> Columns:
    """Return the requests of reading, and how many GPUs a prefix that takes so many feeds."""
    tar = images.encoded_bytes / _BLOCK_BYTES

    def per_s(requests: float) -> Callable[[Case], float]:
        return lambda case: case.images_per_s * requests

    def fed(requests: float) -> Callable[[Case], float]:
        return lambda case: _PREFIX_GETS_PER_S / per_s(requests)(case)

    return {
        "requests/s of a GPU, single images": per_s(_OBJECT_REQUESTS),
        "GPUs of one prefix": fed(_OBJECT_REQUESTS),
        "requests/s, tars": per_s(tar),
        "GPUs of one prefix, tars": fed(tar),
    }


def _billion_columns(images: int = 10**9, gpus: int = 64) -> Columns:
    """Return what a billion images take."""

    def hours(case: Case) -> float:
        return images / case.images_per_s / 3600

    return {
        "a billion images: GPU-hours": hours,
        f"hours on {gpus} GPUs": lambda case: hours(case) / gpus,
        f"parts/s of {gpus} GPUs, 256 images each": lambda case: gpus * case.images_per_s / 256,
        "2048 images each": lambda case: gpus * case.images_per_s / 2048,
    }


def _table(columns: Columns, cases: Sequence[Case]) -> str:
    """Return a Markdown table with a row for each case."""
    lines = [_row("network", "GPU", *columns), _row(*["---"] * (2 + len(columns)))]
    for case in cases:
        figures = (figure(case) for figure in columns.values())
        cells = (f"{figure:,.{0 if figure >= 10 else 1}f}" for figure in figures)
        lines.append(_row(case.network.title, case.gpu.name, *cells))
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@cache
def _flops(name: str, height: int, width: int) -> int:
    return model_cost(name, height, width).flops


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path, help="What `benchmark-scaling --json` printed.")
    record = json.loads(parser.parse_args().record.read_text(encoding="utf-8"))
    print(tables(driver_s_per_part(record)))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
