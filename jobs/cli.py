"""The command line: `refinenet-batch`."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import cluster_cli
from jobs.exits import exit_with, print_json
from jobs.log_format import LogFormat, LogFormatOption
from jobs.options import (
    AsJson,
    Limit,
    Overwrite,
    Refresh,
    RequireEnv,
    RetryFailed,
    SpecFile,
)

# Torch and Ray take seconds to import: each command imports what it needs when it runs.
if TYPE_CHECKING:
    from jobs.progress import ProgressDisplay
    from pipeline import JobSpec, RunReport
    from refinenet_core import CheckpointInfo

app = typer.Typer(
    name="refinenet-batch",
    help="Batch semantic segmentation: RefineNet over image shards, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

checkpoint_app = typer.Typer(help="Look at weights files and convert them.", no_args_is_help=True)
app.add_typer(checkpoint_app, name="checkpoint")
app.add_typer(cluster_cli.app)


@app.command("run")
def run_command(
    spec: SpecFile,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Join the Ray cluster that this machine belongs to; by default a Ray of the "
            "run's own is started.",
        ),
    ] = None,
    require_env: RequireEnv = None,
    as_json: AsJson = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Run a job; if its output is there in part, do what is missing.

    Exit codes: 0 every image committed, failures within the tolerance; 1 all committed, more
    failures than tolerated; 2 spec, checkpoint or output wrong; 3 parts missing; 130 interrupted.
    """
    how = {
        "refresh": refresh,
        "retry_failed": retry_failed,
        "overwrite": overwrite,
        "address": address,
        "require_env": require_env or (),
    }
    exit_with(lambda display: _run(_load(spec, limit), display, how, as_json=as_json), log_format)


@app.command("evaluate")
def evaluate_command(
    spec: SpecFile,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Score masks that exist, or fuse several outputs: a job without a model. Exit codes as `run`.

    The `images` of a spec with `predictions` are the masks; `fuse` names the outputs.
    """
    how = {"refresh": refresh, "retry_failed": retry_failed, "overwrite": overwrite}
    exit_with(
        lambda display: _evaluate(_load(spec, limit), display, how, as_json=as_json), log_format
    )


@app.command("plan")
def plan_command(
    spec: SpecFile,
    limit: Limit = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure the speed here, on some of the job's images."),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="Take the speed from what `benchmark --json` has printed."),
    ] = None,
    price_per_gpu_hour: Annotated[
        float | None,
        typer.Option(min=0, help="Also tell the cost; on CPUs it is the price of an actor-hour."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and take, in images, parts, pixels and operations; write nothing.

    With a speed also hours and cost; margins are 95 % intervals that the sample of images leaves.
    """
    how = {"calibration": calibrate, "record": record, "price_per_hour": price_per_gpu_hour}
    exit_with(lambda _: _plan(_load(spec, limit), how, as_json=as_json))


@app.command("verify")
def verify_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    as_json: AsJson = False,
) -> None:
    """Read every part of an output; say what is wrong or missing, and how to mend it.

    Exit codes: 0 nothing is wrong; 3 parts are missing or wrong; 2 it is no output of ours.
    """
    exit_with(lambda _: _verify(output, as_json=as_json))


@app.command("report")
def report_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    other: Annotated[
        str | None,
        typer.Argument(help="A second job's output folder, to be compared with the first."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Where a comparison is written: by default the second's comparison.html."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an output's summary and report.html again, from its tables alone; or compare two.

    Exit codes: those of the run that the tables are of; 0 for a comparison; 2 no output of ours.
    """
    if other is None:
        exit_with(lambda _: _report(output, to, as_json=as_json))
    else:
        exit_with(lambda _: _compare(output, other, to, as_json=as_json))


@app.command("export")
def export_command(
    output: Annotated[str, typer.Argument(help="A job's output folder: a path or URL.")],
    target: Annotated[str, typer.Argument(help="Folder for the files: a path or URL.")],
    export_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="labels|palette|overlay|coco|geojson|webdataset",
            help="PNGs of class ids, PNGs in colours, images half in colours, run lengths (JSON), "
            "polygons, or tars of PNGs.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        list[str] | None, typer.Option(help="Dataset to export; by default all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the masks of an output as pictures, annotations or tars.

    The same command again writes the same files. Exit codes: 0 every mask is exported; 3 parts,
    or images for overlays, are missing; 2 output, target or command wrong.
    """
    asked = {"export_format": export_format, "datasets": dataset or ()}
    exit_with(lambda display: _export(output, target, asked, display, as_json=as_json))


@app.command("pack")
def pack_command(
    images: Annotated[
        str,
        typer.Argument(help="A glob, a folder, or a manifest (.csv, .jsonl, .parquet of URIs)."),
    ],
    out: Annotated[str, typer.Argument(help="Folder for the shards: a path or URL.")],
    targets: Annotated[
        str | None,
        typer.Option(help="Targets of a folder's images, for example masks/{stem}.png."),
    ] = None,
    image_column: Annotated[str, typer.Option(help="Of a manifest.")] = "image",
    target_column: Annotated[str | None, typer.Option(help="Of a manifest.")] = None,
    key_column: Annotated[str | None, typer.Option(help="Of a manifest.")] = None,
    targets_missing: Annotated[
        str, typer.Option(metavar="error|row", help="What an image without target is.")
    ] = "error",
    pack_format: Annotated[
        str, typer.Option("--format", metavar="webdataset|parquet", help="Kind of shards.")
    ] = "webdataset",
    shard_size: Annotated[str, typer.Option(help="Encoded bytes of a shard at most.")] = "256MiB",
    as_json: AsJson = False,
) -> None:
    """Write single images into shards (tars or Parquet), which a cluster reads better."""

    def command(_: "ProgressDisplay") -> int:
        typed = {
            "images": images,
            "out": out,
            "targets": targets,
            "image_column": image_column,
            "target_column": target_column,
            "key_column": key_column,
            "targets_missing": targets_missing,
            "format": pack_format,
            "shard_size": shard_size,
        }
        return _pack(typed, as_json=as_json)

    exit_with(command)


@app.command("quickstart")
def quickstart_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder for scenes, spec, results and pictures.")
    ] = Path("quickstart"),
    images: Annotated[int, typer.Option(min=1, max=1000, help="Scenes to make.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Make a small labelled data set, segment it with the built-in model, show the result."""
    exit_with(lambda display: _quickstart(folder, images, display, as_json=as_json))


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
        typer.Option(min=1, help="Images of each run; by default 25 s of work for each actor."),
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


def main() -> None:
    """Run the command line."""
    app()


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is no size; write WIDTHxHEIGHT, for example 512x512")
    return int(width), int(height)


def _load(path: Path, limit: int | None) -> "JobSpec":
    from pipeline import JobSpec

    spec = JobSpec.from_yaml(path)
    return spec.limited(limit) if limit else spec


def _run(spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any], *, as_json: bool) -> int:
    report = _shown_run(spec, display, how)
    _show(report, as_json=as_json)
    return report.exit_code


def _evaluate(
    spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any], *, as_json: bool
) -> int:
    from pipeline.errors import SpecError

    if spec.model is not None:
        raise SpecError(
            "model",
            ("masks that exist need none; leave it out, or use `refinenet-batch run`",),
        )
    return _run(spec, display, how, as_json=as_json)


def _shown_run(
    spec: "JobSpec", display: "ProgressDisplay", how: dict[str, Any] | None = None
) -> "RunReport":
    """Run a job and show how far it is; Ray's messages go where the progress goes."""
    from pipeline import run

    with display, redirect_stdout(sys.stderr):
        return run(spec, display, **(how or {}))


def _plan(spec: "JobSpec", how: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.estimate_table import estimate_table
    from jobs.tables import plan_table
    from pipeline.forecast import forecast

    found = forecast(spec, **how)
    if as_json:
        datasets = [asdict(dataset) for dataset in found.datasets]
        estimate = found.estimate.to_json()
        print_json({"job": spec.name, "datasets": datasets, "estimate": estimate})
    else:
        _print_table(plan_table(spec.name, spec.output, found.datasets))
        _print_table(estimate_table(found.estimate))
    return 0


def _report(output: str, to: str | None, *, as_json: bool) -> int:
    from pipeline.errors import SpecError
    from pipeline.past_run import remake_report

    if to is not None:
        raise SpecError("report", ("--to is for a comparison; give two outputs",))
    report = remake_report(output)
    _show(report, as_json=as_json)
    return report.exit_code


def _compare(first: str, second: str, to: str | None, *, as_json: bool) -> int:
    from jobs.score_tables import comparison_table
    from pipeline.comparison import compare
    from pipeline.comparison_page import verdict, write_comparison
    from pipeline.uris import shown

    comparison = compare(first, second)
    page = write_comparison(comparison, to)
    if as_json:
        print_json(comparison.to_json())
        return 0
    for dataset in comparison.datasets:
        _print_table(comparison_table(dataset))
        print(verdict(dataset))
    print(f"Report:    {shown(page)}")
    return 0


def _verify(output: str, *, as_json: bool) -> int:
    from jobs.tables import verified_lines
    from pipeline import verify

    report = verify(output)
    if as_json:
        print_json(report.to_json())
    else:
        print("\n".join(verified_lines(report)))
    return report.exit_code


def _export(
    output: str, target: str, asked: dict[str, Any], display: "ProgressDisplay", *, as_json: bool
) -> int:
    from jobs.exporting import ExportLines, exported_lines
    from pipeline import export
    from pipeline.dataset_export import ExportProgress

    lines = ExportLines(lambda line: print(line, file=sys.stderr))

    def observe(progress: ExportProgress) -> None:
        display.started = True  # what fails from here on is the same command's to finish
        lines(progress)

    report = export(output, target, **asked, observer=observe)
    if as_json:
        print_json(report.to_json())
    else:
        print("\n".join(exported_lines(report)))
    return report.exit_code


def _quickstart(folder: Path, images: int, display: "ProgressDisplay", *, as_json: bool) -> int:
    from jobs import quickstart

    spec = quickstart.prepare(folder, images)
    report = _shown_run(spec, display)
    pictures = quickstart.draw_pictures(folder, spec)
    _show(report, as_json=as_json)
    if not as_json:
        print(f"Pictures:  {pictures}")
        print(f"Run again: refinenet-batch run {quickstart.spec_path(folder)}")
    return report.exit_code


def _models(width: int, height: int, *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.tables import models_table
    from refinenet_core import list_models, measure_cost

    costs = [measure_cost(name, height, width) for name in list_models()]
    if as_json:
        print_json({"width": width, "height": height, "models": list(map(asdict, costs))})
    else:
        _print_table(models_table(costs, height, width))
    return 0


def _benchmark(
    model: str, asked: dict[str, Any], device: str | None, threads: int | None, *, as_json: bool
) -> int:
    from dataclasses import asdict

    import torch

    from jobs.tables import benchmark_table
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
        _print_table(benchmark_table(record))
    return 0


def _benchmark_scaling(actors: Sequence[int], asked: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.scaling_table import scaling_table
    from pipeline.scaling import record_scaling

    with redirect_stdout(sys.stderr):  # Ray's messages
        record = record_scaling(actors, **asked)
    if as_json:
        print_json(asdict(record))
    else:
        _print_table(scaling_table(record))
    return 0


def _pack(typed: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.packing import run_pack, spec_lines

    report = run_pack(typed, say=lambda line: print(line, file=sys.stderr))
    if as_json:
        print_json(asdict(report))
        return int(bool(report.failures))
    for failure in report.failures:
        print(f"left out: {failure}")
    print(
        f"{sum(shard.images for shard in report.shards) - len(report.failures)} images are in "
        f"{len(report.shards)} shards, which a job reads with:\n\n{spec_lines(report)}"
    )
    return int(bool(report.failures))


def _inspect(file: str, *, as_json: bool) -> int:
    from jobs.convert import inspect_location

    return _show_checkpoint(inspect_location(file), as_json=as_json)


def _show_checkpoint(info: "CheckpointInfo", *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.tables import checkpoint_table

    if as_json:
        print_json(asdict(info))
    else:
        _print_table(checkpoint_table(info))
    return 0


def _show(report: "RunReport", *, as_json: bool) -> None:
    from jobs.tables import report_table
    from pipeline.uris import join, shown

    if as_json:
        print_json(report.to_json())
        return
    _print_table(report_table(report))
    print(f"Masks:     {shown(join(report.output, 'masks'))}")
    print(f"Summary:   {shown(join(report.output, 'summary.json'))}")
    print(f"Report:    {shown(join(report.output, 'report.html'))}")
    for name in report.missing_parts[:5]:
        print(f"missing:   {name}")
    if report.missing_parts:
        print(f"{len(report.missing_parts)} parts are missing; the same command tries them again")
    elif report.exit_code:
        failed = sum(dataset.failed for dataset in report.datasets)
        print(
            f"{failed} images failed, more than `tolerance` allows; "
            "the mask table's `status` and `error` say why"
        )


def _print_table(table: Any) -> None:
    from rich.console import Console

    Console().print(table)
