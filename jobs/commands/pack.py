"""The command `pack`: single images become shards."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.exits import exit_with, print_json
from jobs.commands.options import AsJson

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay


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


def _pack(typed: dict[str, Any], *, as_json: bool) -> int:
    from dataclasses import asdict

    from jobs.commands.pack_request import run_pack, spec_lines

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
