"""The command line: `refinenet-batch`."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import cluster_cli, network_cli
from jobs.exits import exit_with, print_json, print_table
from jobs.log_format import LogFormat, LogFormatOption
from jobs.options import (
    AsJson,
    Limit,
    Overwrite,
    Refresh,
    RequireEnv,
    RetryFailed,
    ShareText,
    SpecFile,
)

# Torch and Ray take seconds to import: each command imports what it needs when it runs.
if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay
    from pipeline import JobSpec, RunReport

app = typer.Typer(
    name="refinenet-batch",
    help="Batch semantic segmentation: RefineNet over image shards, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(network_cli.app)
app.add_typer(network_cli.checkpoint_app, name="checkpoint")
app.add_typer(cluster_cli.app)


@app.command("run")
def run_command(
    spec: SpecFile,
    limit: Limit = None,
    refresh: Refresh = False,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    share: ShareText = None,
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
    how: dict[str, Any] = {
        "refresh": refresh,
        "retry_failed": retry_failed,
        "overwrite": overwrite,
        "address": address,
        "require_env": require_env or (),
    }

    def command(display: "ProgressDisplay") -> int:
        from pipeline.spec.share import Share

        if share is not None:
            how["share"] = Share.parse(share)
        return _run(_load(spec, limit), display, how, as_json=as_json)

    exit_with(command, log_format)


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


def main() -> None:
    """Run the command line."""
    app()


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
        report = run(spec, display, **(how or {}))
        display.finished(report)
    return report


def _plan(spec: "JobSpec", how: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.display.estimate_tables import estimate_table
    from jobs.display.run_tables import plan_table
    from pipeline.estimate.estimate_job import forecast

    found = forecast(spec, **how)
    if as_json:
        datasets = [asdict(dataset) for dataset in found.datasets]
        estimate = found.estimate.to_json()
        print_json({"job": spec.name, "datasets": datasets, "estimate": estimate})
    else:
        print_table(plan_table(spec.name, spec.output, found.datasets))
        print_table(estimate_table(found.estimate))
    return 0


def _report(output: str, to: str | None, *, as_json: bool) -> int:
    from pipeline.errors import SpecError
    from pipeline.report.write_report import remake_report

    if to is not None:
        raise SpecError("report", ("--to is for a comparison; give two outputs",))
    report = remake_report(output)
    _show(report, as_json=as_json)
    return report.exit_code


def _compare(first: str, second: str, to: str | None, *, as_json: bool) -> int:
    from jobs.display.score_tables import comparison_table
    from pipeline.report.comparison_page import verdict, write_comparison
    from pipeline.scores.comparison import compare
    from pipeline.storage.uris import shown

    comparison = compare(first, second)
    page = write_comparison(comparison, to)
    if as_json:
        print_json(comparison.to_json())
        return 0
    for dataset in comparison.datasets:
        print_table(comparison_table(dataset))
        print(verdict(dataset))
    print(f"Report:    {shown(page)}")
    return 0


def _verify(output: str, *, as_json: bool) -> int:
    from jobs.display.run_tables import verified_lines
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
    from jobs.display.export_lines import ExportLines, exported_lines
    from pipeline import export
    from pipeline.export.exported_rows import ExportProgress

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
    from jobs.quickstart import quickstart

    spec = quickstart.prepare(folder, images)
    report = _shown_run(spec, display)
    pictures = quickstart.draw_pictures(folder, spec)
    _show(report, as_json=as_json)
    if not as_json:
        print(f"Pictures:  {pictures}")
        print(f"Run again: refinenet-batch run {quickstart.spec_path(folder)}")
    return report.exit_code


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


def _show(report: "RunReport", *, as_json: bool) -> None:
    from jobs.display.run_tables import report_table, shortfall_lines
    from pipeline.report.write_summary import report_content
    from pipeline.storage.uris import join, shown

    if as_json:
        print_json(report_content(report))
        return
    print_table(report_table(report))
    print(f"Masks:     {shown(join(report.output, 'masks'))}")
    if report.share:
        print(f"Share {report.share}: the run that ends the last share writes summary and report")
    else:
        print(f"Summary:   {shown(join(report.output, 'summary.json'))}")
        print(f"Report:    {shown(join(report.output, 'report.html'))}")
    for line in shortfall_lines(report):
        print(line)
