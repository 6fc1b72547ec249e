"""The command `benchmark`: the predictor against the published loop."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json, print_table
from jobs.commands.options import AsJson, image_size

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay


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
    width, height = image_size(size)

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


def _benchmark(
    model: str, asked: dict[str, Any], device: str | None, threads: int | None, *, as_json: bool
) -> int:
    from dataclasses import asdict

    import torch

    from jobs.display.network_tables import benchmark_table
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
