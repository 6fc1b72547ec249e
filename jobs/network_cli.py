"""The commands about networks alone: `models`, `benchmark`, `benchmark-scaling`, `checkpoint`."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.exits import exit_with, print_json, print_table
from jobs.options import AsJson

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from refinenet_core import CheckpointInfo

app = typer.Typer()
checkpoint_app = typer.Typer(help="Look at weights files and convert them.", no_args_is_help=True)


@app.command("models")
def models_command(
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Image size in pixels.")
    ] = "512x512",
    as_json: AsJson = False,
) -> None:
    """List the networks: encoder, parameters, GFLOP and activation memory at a size, stride."""
    width, height = _size(size)
    exit_with(lambda _: _models(width, height, as_json=as_json))


@app.command("benchmark")
def benchmark_command(
    model: Annotated[str, typer.Option(help="A name of `refinenet-batch models`.")] = (
        "refinenet_lw_mobilenet_v2"
    ),
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Image size in pixels.")
    ] = "500x375",
    scales: Annotated[
        list[float] | None, typer.Option("--scale", help="Scales; by default the five published.")
    ] = None,
    classes: Annotated[int, typer.Option(min=1, max=255, help="Number of classes.")] = 21,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default a GPU if there is one.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Images a round.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in each of which both run.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure the predictor against the published loop, on the same images in one run."""
    width, height = _size(size)

    def command(_: "ProgressDisplay") -> int:
        asked = {
            "num_classes": classes,
            "height": height,
            "width": width,
            "precision": precision,
            "images": images,
            "rounds": rounds,
        }
        if scales:
            asked["scales"] = tuple(scales)
        return _benchmark(model, asked, device, threads, as_json=as_json)

    exit_with(command)


@app.command("benchmark-scaling")
def benchmark_scaling_command(
    actors: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Number of actors, repeatable; by default 1, 2, 4, 8 and 16."),
    ] = None,
    sleep_ms: Annotated[
        float, typer.Option(min=0.1, help="What an actor sleeps for an image.")
    ] = 250,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Images of each run; by default 60 s of work for each actor."),
    ] = None,
    part_images: Annotated[int, typer.Option(min=1, help="Images of a part.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Measure the pipeline without a network: actors that sleep, against as many times one's speed.

    All else is real: small JPEGs in a temporary folder, planning, reading, decoding, Ray, commits.
    """
    asked = {"image_s": sleep_ms / 1000, "images": images, "part_images": part_images}
    exit_with(lambda _: _benchmark_scaling(actors or (1, 2, 4, 8, 16), asked, as_json=as_json))


@checkpoint_app.command("inspect")
def inspect_command(
    file: Annotated[str, typer.Argument(help="Weights file: a path or URL.")],
    as_json: AsJson = False,
) -> None:
    """Say what a weights file is: kind, model, classes, precision, what else it tells."""
    exit_with(lambda _: _inspect(file, as_json=as_json))


@checkpoint_app.command("convert")
def convert_command(
    file: Annotated[str, typer.Argument(help="Weights file: a path or URL.")],
    out: Annotated[Path, typer.Argument(help="File to write, .safetensors.")],
    model: Annotated[
        str | None, typer.Option(help="Model; by default what the file tells.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Built-in label set of its classes.")] = None,
    scales: Annotated[
        list[float] | None, typer.Option("--scale", help="Scale that --miou was measured with.")
    ] = None,
    miou: Annotated[float | None, typer.Option(min=0, max=1, help="Published mIoU.")] = None,
    improved_pooling: Annotated[
        bool, typer.Option(help="The chained pooling convolves first; no file tells.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a weights file as one of ours, which says all that a job needs."""

    def command(_: "ProgressDisplay") -> int:
        from jobs.convert import Facts, convert

        facts = Facts(model, classes, tuple(scales) if scales else None, miou, improved_pooling)
        return _show_checkpoint(convert(file, out, facts), as_json=as_json)

    exit_with(command)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size; write WIDTHxHEIGHT, for example 512x512")
    return int(width), int(height)


def _models(width: int, height: int, *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.run_tables import models_table
    from refinenet_core import list_models, measure_cost

    costs = [measure_cost(name, height, width) for name in list_models()]
    if as_json:
        print_json({"width": width, "height": height, "models": list(map(asdict, costs))})
    else:
        print_table(models_table(costs, height, width))
    return 0


def _benchmark(
    model: str, asked: dict[str, Any], device: str | None, threads: int | None, *, as_json: bool
) -> int:
    from dataclasses import asdict

    import torch

    from jobs.display.run_tables import benchmark_table
    from pipeline.errors import SpecError
    from refinenet_core import run_benchmark

    if threads:
        torch.set_num_threads(threads)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise SpecError("benchmark", (f"device is {device!r}; choose cpu or cuda",))
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("benchmark", ("device is 'cuda', but PyTorch finds no GPU; choose cpu",))
    try:
        record = run_benchmark(model, device=device, **asked)
    except ValueError as error:  # what was typed, in the words of the one who checks it
        raise SpecError("benchmark", (str(error),)) from error
    if as_json:
        print_json(asdict(record))
    else:
        print_table(benchmark_table(record))
    return 0


def _benchmark_scaling(actors: Sequence[int], asked: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.benchmarks.scaling import record_scaling
    from jobs.display.scaling_table import scaling_table

    with redirect_stdout(sys.stderr):  # Ray's messages
        record = record_scaling(actors, **asked)
    if as_json:
        print_json(asdict(record))
    else:
        print_table(scaling_table(record))
    return 0


def _inspect(file: str, *, as_json: bool) -> int:
    from jobs.convert import inspect_location

    return _show_checkpoint(inspect_location(file), as_json=as_json)


def _show_checkpoint(info: "CheckpointInfo", *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.run_tables import checkpoint_table

    if as_json:
        print_json(asdict(info))
    else:
        print_table(checkpoint_table(info))
    return 0
