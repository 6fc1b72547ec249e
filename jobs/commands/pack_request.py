"""What `pack` is asked for: from what is typed to shards, and to lines of a spec that read them."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import yaml
from pydantic import ByteSize, Field, ValidationError

from pipeline.datasets.pack import PackedShard, PackFormat, PackReport, pack
from pipeline.errors import SpecError
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.problems import describe_problems
from pipeline.spec.section import Section, Uri
from pipeline.storage.storage import Storage
from pipeline.storage.uris import extension

_MANIFESTS = ("csv", "jsonl", "ndjson", "json", "parquet")


class PackRequest(Section):
    """What is to be packed, how, and where to."""

    images: Uri
    out: Uri
    targets: Uri | None = None
    image_column: str = "image"
    target_column: str | None = None
    key_column: str | None = None
    targets_missing: Literal["error", "row"] = "error"
    format: PackFormat = "webdataset"
    shard_size: Annotated[ByteSize, Field(gt=0)] = ByteSize(256 << 20)

    def dataset(self) -> DatasetSpec:
        """Return where the images are, as the pipeline's sources take it."""
        fields: dict[str, Any] = {"name": "pack", "images": self.images}
        if extension(self.images) in _MANIFESTS:
            columns = {"image": self.image_column, "target": self.target_column}
            fields |= {"format": "manifest", "columns": {**columns, "key": self.key_column}}
        return DatasetSpec(targets=self.targets, targets_missing=self.targets_missing, **fields)


def run_pack(typed: dict[str, Any], say: Callable[[str], None]) -> PackReport:
    """Pack what was asked for on the command line.

    Args:
        typed: Fields of a `PackRequest`.
        say: Is given a line for each shard.

    Raises:
        SpecError: Something typed is wrong.
        PipelineError: There is nothing to pack, or a location cannot be used.
    """
    try:
        request = PackRequest.model_validate(typed)
        dataset = request.dataset()
    except ValidationError as error:
        raise SpecError("pack", describe_problems(error, PackRequest)) from error

    def tell(shard: PackedShard) -> None:
        say(f"{shard.name}: {shard.images} images{'' if shard.written else ', there already'}")

    return pack(
        dataset,
        request.out,
        Storage(),
        pack_format=request.format,
        shard_bytes=int(request.shard_size),
        observer=tell,
    )


def spec_lines(report: PackReport) -> str:
    """Return the part of a job spec that reads what was packed."""
    fields = {"name": "packed", **report.dataset}
    return yaml.safe_dump({"datasets": [fields]}, sort_keys=False)
