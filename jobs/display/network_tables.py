"""The tables of networks: what they cost, how fast they are, what a weights file is."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.filesize import decimal
from rich.table import Table

from refinenet_core import ModelCost

if TYPE_CHECKING:  # PyTorch
    from refinenet_core import BenchmarkRecord, CheckpointInfo


def models_table(costs: Sequence[ModelCost], height: int, width: int) -> Table:
    """Return what each network costs for an image of a size."""
    title = f"One image of {width}x{height}: parameters (M), operations, activations (MiB), stride"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("model", "encoder"):
        table.add_column(name, no_wrap=True)
    for name in ("params", "GFLOP", "act.", "stride"):
        table.add_column(name, justify="right", no_wrap=True)
    for cost in costs:
        table.add_row(
            cost.name,
            cost.encoder,
            f"{cost.parameters / 1e6:.3f}",
            f"{cost.flops / 1e9:.1f}",
            f"{cost.activation_bytes / 2**20:.0f}",
            str(cost.stride),
        )
    return table


def benchmark_table(record: "BenchmarkRecord") -> Table:
    """Return what was measured, a row per figure."""
    setting, hardware = record.setting, record.hardware
    title = (
        f"{setting['model']}, {setting['width']}x{setting['height']}, scales {setting['scales']}, "
        f"{setting['precision']} on {hardware['device']}, {hardware['threads']} threads"
    )
    table = Table(title=title, title_justify="left", show_header=False)
    total_s = sum(seconds for stage, seconds in record.stage_s.items() if "." not in stage)
    rows = {
        "published loop": f"{record.loop_images_per_s:.3f} images/s",
        "predictor": f"{record.images_per_s:.3f} images/s, "
        f"{record.megapixels_per_s:.3f} megapixels/s",
        "ratio": f"{record.ratio:.2f} ({min(record.ratios):.2f} to {max(record.ratios):.2f})",
        "equal labels": f"{record.agreement:.4%}",
        "operations": f"{record.tflops:.4f} TFLOP/s, {record.tflops / record.matrix_tflops:.1%} of "
        f"a matrix product's {record.matrix_tflops:.4f}",
        **{
            f"time in {stage}": f"{seconds * 1000:.1f} ms, {seconds / total_s:.0%}"
            for stage, seconds in record.stage_s.items()
        },
        **{f"peak memory, {way}": decimal(size) for way, size in record.peak_bytes.items()},
    }
    for row in rows.items():
        table.add_row(*row)
    return table


def checkpoint_table(info: "CheckpointInfo") -> Table:
    """Return what a weights file is, a row per fact that is known."""
    table = Table(title=info.source, title_justify="left", show_header=False)
    for name, value in asdict(info).items():
        if name != "source" and value is not None:
            shown_value = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            table.add_row(name.replace("_", " "), shown_value)
    return table
