"""What has to be seen on a GPU, in stages; a JSON file is written after each.

    kernels    the tests that are marked `gpu`
    sizes      how long the first, second and third image of each of many sizes take
    jobs       whole jobs through the local executor: labels against the CPU's, equal bytes, want of
               memory, many sizes, the share of time in which the predictor is busy
    passes     one pass of each network, with PyTorch's kernels alone and with ours
    benchmark  the predictor against the published loop
    profile    the kernels that take the most time

A stage that finds something wrong, or has no time for all of its work, says so under `problems`;
the check then ends with exit code 1.

`--dry-run` goes through all of them on a CPU, with little to do: it shows that the check runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch

from competing_network import competing_network
from refinenet_core import MultiScalePredictor, build_model, run_benchmark
from refinenet_core.prediction import averaging, predictor

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("refinenet_lw_mobilenet_v2", "refinenet_lw50", "refinenet101")
FIVE = (0.4, 0.6, 0.8, 1.0, 1.2)
LIMIT_S = 290
LEAST_AGREEMENT = {"float32": 0.99, "float16": 0.9, "bfloat16": 0.9}  # of random weights' labels


@dataclass(frozen=True)
class Machine:
    """What the check runs on, and how much of it there is."""

    dry: bool
    ends_at: float

    @property
    def device(self) -> str:
        """Where to predict."""
        return "cpu" if self.dry else "cuda"

    @property
    def left_s(self) -> float:
        """Seconds until the check is to be over."""
        return self.ends_at - time.monotonic()

    def synchronise(self) -> None:
        """Wait for the GPU."""
        if not self.dry:
            torch.cuda.synchronize()


def kernels(machine: Machine) -> dict[str, Any]:
    """Run the tests that are marked `gpu`."""
    what = ["--collect-only"] if machine.dry else ["--durations=8"]
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-m", "gpu", *what]
    command += ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings="]
    command += ["-n", str(min(8, (os.cpu_count() or 1) // 2))]
    command += [
        "-p",
        "no:cacheprovider",
        "tests/refinenet_core/gpu",
        "tests/refinenet_core/prediction",
    ]
    limit_s = min(100.0, machine.left_s)
    if limit_s < 10:
        return {"problems": ["no time for it"]}
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=limit_s
    )
    problems = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode:
        sys.stdout.write(done.stdout[-6000:])
        problems.append(f"pytest ended with {done.returncode}")
    return {"last": done.stdout[-1500:], "problems": problems}


def sizes(machine: Machine) -> dict[str, Any]:
    """Time the first, second and third image of sizes that were not there before."""
    found: dict[str, Any] = {"problems": []}
    wanted = [(281 + 7 * n, 500 - 3 * n) for n in range(40)]
    for name in NETWORKS[:1] if machine.dry else NETWORKS:
        for precision in ("float32",) if machine.dry else ("bfloat16",):
            if machine.left_s < 15:
                found["problems"].append(f"no time for {name} {precision}")
                continue
            begun = time.perf_counter()
            scaled = MultiScalePredictor(
                build_model(name, 21).eval(),
                (1.0,) if machine.dry else FIVE,
                device=machine.device,
                precision=precision,
                confidence="mean",
            )
            some = wanted if name == NETWORKS[0] else wanted[:12]
            rows = [
                _three_times(machine, scaled, size) for size in some[: 2 if machine.dry else 40]
            ]
            later = rows[5:] or rows
            found[f"{name} {precision}"] = {
                "sizes": len(rows),
                "very_first_ms": rows[0][0],
                "first_ms": _spread([row[0] for row in later]),
                "second_ms": _spread([row[1] for row in later]),
                "third_ms": _spread([row[2] for row in later]),
                "wall_s": round(time.perf_counter() - begun, 1),
            }
    return found


def _three_times(
    machine: Machine, scaled: MultiScalePredictor, size: tuple[int, int]
) -> list[float]:
    taken = []
    for seed in range(3):
        image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        machine.synchronise()
        start = time.perf_counter()
        scaled.predict([image])
        taken.append(round((time.perf_counter() - start) * 1e3, 1))
    return taken


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "most": max(values)}


def jobs(machine: Machine) -> dict[str, Any]:
    """Run whole jobs without Ray."""
    if machine.dry:
        sys.modules["ray"] = None  # type: ignore[assignment] - the GPU's machine has none
    from gpu_jobs import Jobs

    with tempfile.TemporaryDirectory() as folder:
        done = Jobs(Path(folder), dry=machine.dry)
        labels, memory = done.labels_against_the_cpu(), done.want_of_memory()
        found = {"labels": labels, "memory": memory, "busy": done.share_busy()}
    wrong = {
        "labels are not the CPU's": labels["agreement_with_cpu"] < 0.9999,
        "the same job twice gives other bytes": not labels["same_bytes_twice"],
        "want of memory loses an image": memory["status"] != "ok",
        "want of memory changes labels": memory["agreement"] < 0.999,
    }
    return {**found, "problems": [problem for problem, there in wrong.items() if there]}


def passes(machine: Machine) -> dict[str, Any]:
    """Time one pass of a batch of 16 images of 500x375 with PyTorch's kernels and with ours."""
    found: dict[str, Any] = {"problems": []}
    shape = (1, 3, 64, 80) if machine.dry else (16, 3, 375, 500)
    torch.manual_seed(0)
    batch = torch.randn(shape, device=machine.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    for name in NETWORKS[:1] if machine.dry else NETWORKS:
        for precision in ("float32",) if machine.dry else ("bfloat16", "float16", "float32"):
            if machine.left_s < 10:
                found["problems"].append(f"no time for {name} {precision}")
                continue
            row: dict[str, Any] = {}
            labels = {}
            for way in ("pytorch", "ours"):
                model = competing_network(name, 21)
                with _kernels(ours=way == "ours"):
                    network = MultiScalePredictor(
                        model, device=machine.device, precision=precision
                    ).network
                given = batch.to(getattr(torch, precision))
                row[f"{way}_ms"], logits = _time_pass(machine, network, given)
                labels[way] = logits.argmax(1)
            row["ratio"] = round(row["pytorch_ms"] / row["ours_ms"], 2)
            row["agreement"] = float((labels["pytorch"] == labels["ours"]).double().mean())
            found[f"{name} {precision}"] = row
            if row["agreement"] < LEAST_AGREEMENT[precision]:
                found["problems"].append(f"{name} {precision}: our kernels give other labels")
    return found


@contextmanager
def _kernels(*, ours: bool) -> Iterator[None]:
    """Have predictors made with our kernels, if they can be had, or without."""
    if ours:
        yield
        return
    with (
        mock.patch.object(predictor, "kernels_run", return_value=False),
        mock.patch.object(averaging, "kernels_run", return_value=False),
    ):
        yield


def _time_pass(
    machine: Machine, network: torch.nn.Module, given: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Return the milliseconds of a pass, replayed as a CUDA graph, and its logits."""
    with torch.inference_mode():
        if machine.dry:
            start = time.perf_counter()
            logits = network(given)
            return round((time.perf_counter() - start) * 1e3, 3), logits
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(2):
                network(given)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = network(given)
        taken = []
        for _ in range(10):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end))
        return round(median(taken), 3), logits.float().clone()


def benchmark(machine: Machine) -> dict[str, Any]:
    """Run the product's benchmark."""
    found: dict[str, Any] = {"problems": []}
    for name in NETWORKS[:1] if machine.dry else NETWORKS:
        for precision in ("float32",) if machine.dry else ("bfloat16",):
            if machine.left_s < 20:
                found["problems"].append(f"no time for {name} {precision}")
                continue
            options = {"images": 16, "rounds": 3}
            if machine.dry:
                options = {"images": 1, "rounds": 1, "height": 48, "width": 64}
            record = run_benchmark(name, device=machine.device, precision=precision, **options)
            share = record.tflops / record.matrix_tflops
            found[f"{name} {precision}"] = {"share_of_matrix_rate": share, **asdict(record)}
            if record.agreement < LEAST_AGREEMENT[precision]:
                found["problems"].append(f"{name} {precision}: other labels than the loop's")
    return found


def profile(machine: Machine) -> dict[str, Any]:
    """Name the kernels that take the most time, of five scales of a batch."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    found: dict[str, Any] = {"problems": []}
    activity = ProfilerActivity.CPU if machine.dry else ProfilerActivity.CUDA
    for name in NETWORKS[:1] if machine.dry else NETWORKS:
        if machine.left_s < 8:
            found["problems"].append(f"no time for {name}")
            continue
        size = (48, 64) if machine.dry else (375, 500)
        some = [
            np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
            for seed in range(1 if machine.dry else 16)
        ]
        scaled = MultiScalePredictor(
            build_model(name, 21).eval(),
            (1.0,) if machine.dry else FIVE,
            device=machine.device,
            precision="float32" if machine.dry else "bfloat16",
        )
        for _ in range(1 if machine.dry else 5):
            scaled.predict(some)
        with profiling(activities=[activity]) as profiled:
            scaled.predict(some)
            machine.synchronise()
        events = sorted(profiled.key_averages(), key=lambda event: -event.device_time_total)
        found[name] = [
            {"kernel": event.key[:80], "calls": event.count, "ms": event.device_time_total / 1e3}
            for event in events[:18]
        ]
    return found


STAGES: dict[str, Callable[[Machine], dict[str, Any]]] = {
    stage.__name__: stage for stage in (kernels, sizes, jobs, passes, benchmark, profile)
}


def main() -> int:
    """Run the stages that are asked for; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(STAGES), help=f"of: {', '.join(STAGES)}")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--limit-s", type=float, default=LIMIT_S)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    asked = options.only.split(",")
    if unknown := set(asked) - STAGES.keys():
        parser.error(f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    if not options.dry_run and not torch.cuda.is_available():
        parser.error("there is no GPU; --dry-run goes through the stages on the CPU")
    machine = Machine(options.dry_run, time.monotonic() + options.limit_s)
    found: dict[str, Any] = {"machine": _describe(machine)}
    failed = False
    for name in asked:
        start = time.monotonic()
        try:
            found[name] = STAGES[name](machine)
        except Exception:  # noqa: BLE001 - the others are worth their turn
            found[name] = {"problems": [traceback.format_exc()[-3000:]]}
        failed = failed or bool(found[name]["problems"])
        found[name]["took_s"] = round(time.monotonic() - start, 1)
        options.out.write_text(json.dumps(found, indent=1) + "\n")
        sys.stdout.write(f"== {name}\n")
        for key, value in found[name].items():
            shown = value if isinstance(value, str) else json.dumps(value)
            sys.stdout.write(f"   {key}: {shown}"[:1400] + "\n")
    return int(failed)


def _describe(machine: Machine) -> dict[str, Any]:
    described = {
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "dry_run": machine.dry,
    }
    if not machine.dry:
        described["gpu"] = torch.cuda.get_device_name()
        described["copy_tb_per_s"] = _copy_rate()
    return described


def _copy_rate() -> float:
    """Return the bytes that a copy within the GPU's memory reads and writes, in TB/s."""
    one = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(one)
    taken = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        other.copy_(one)
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return 2 * one.numel() / min(taken) / 1e12


if __name__ == "__main__":
    sys.exit(main())
