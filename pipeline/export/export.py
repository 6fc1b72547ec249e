"""The export of an output's masks: to picture files, annotations, or tars."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from pipeline.errors import OutputError, SpecError
from pipeline.export.exported_rows import DatasetExport, ExportedDataset, ExportProgress
from pipeline.export.formats import EXPORTERS, ExportFormat
from pipeline.images.decoding import allow_pixels
from pipeline.output.job_record import read_job
from pipeline.output.output_folder import Output
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import absolute_uri, join, protocol_of, shown


@dataclass
class ExportReport:
    """The result of an export.

    Attributes:
        target: The folder, as people type it.
        format: What masks became.
        datasets: What became of each dataset.
    """

    target: str
    format: str
    datasets: list[ExportedDataset] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 every mask of a finished run is there, 3 parts or images are missing."""
        return 3 if any(each.missing_parts or each.without_image for each in self.datasets) else 0

    def to_json(self) -> dict[str, Any]:
        """Return what `export --json` prints."""
        return asdict(self)


def export(
    output: str,
    target: str,
    *,
    export_format: ExportFormat,
    datasets: Sequence[str] = (),
    observer: Callable[[ExportProgress], None] = lambda _: None,
) -> ExportReport:
    """Write the masks of an output's mask tables in another format.

    Names follow from the data alone, and a file is there whole or not at all: the same call again
    writes the same files over those that are there.

    Args:
        output: The output folder, a path or URL.
        target: Folder for the files, a path or URL outside of it; both are accessed with the
            `storage_options` in `job.json`.
        export_format: "labels": grey PNGs whose values are class ids; "palette": the table's own
            PNGs; "overlay": PNGs of the images half in colours; "coco": a JSON file a dataset with
            compressed run lengths; "geojson": one with polygons, whose error is 0 pixels;
            "webdataset": a tar of PNGs a shard.
        datasets: Names of the datasets to export; none means all.
        observer: Is told how far the export is, after each part or shard.

    Raises:
        SpecError: There is no such format or dataset.
        OutputError: It is no output of ours, or is damaged; or the target holds another export.
        StorageError: A location cannot be read or written.
    """
    exporter = EXPORTERS.get(export_format)
    if exporter is None:
        formats = ", ".join(get_args(ExportFormat))
        raise SpecError("export", (f"format is {export_format!r}; choose one of {formats}",))
    source, destination = absolute_uri(output), absolute_uri(target)
    spec, fingerprint = read_job(source, Storage())
    chosen = _chosen(spec.datasets, datasets)
    if export_format == "overlay":
        _refuse_masks(chosen)
    folder = Output(source, Storage(spec.storage_options))
    for dataset in chosen:
        if not folder.storage.exists(folder.plan_uri(dataset.name)):
            raise OutputError(
                shown(folder.plan_uri(dataset.name)),
                "is missing; run the job, or choose other datasets",
            )
    _claim(destination, folder, {"format": export_format, "fingerprint": fingerprint})
    allow_pixels(max(dataset.decode.max_pixels for dataset in chosen))
    report = ExportReport(shown(destination), export_format)
    for dataset in chosen:
        work = DatasetExport(folder, dataset, destination, observer, fingerprint)
        exporter(work)
        report.datasets.append(work.exported)
    return report


def _chosen(datasets: Sequence[DatasetSpec], names: Sequence[str]) -> list[DatasetSpec]:
    known = {dataset.name: dataset for dataset in datasets}
    unknown = [name for name in names if name not in known]
    if unknown:
        problem = f"there is no dataset {unknown[0]!r} in this output; it has {', '.join(known)}"
        raise SpecError("export", (problem,))
    return [known[name] for name in dict.fromkeys(names or known)]


def _refuse_masks(datasets: Sequence[DatasetSpec]) -> None:
    """Refuse datasets whose images are themselves the masks that were scored."""
    for dataset in datasets:
        if dataset.predictions is not None:
            problem = f"the images of dataset {dataset.name!r} are masks; choose another format"
            raise SpecError("export", (problem,))


def _claim(target: str, source: Output, content: dict[str, Any]) -> None:
    """Make the target this export's, or find that it is: formats share file names."""
    if _is_within(target, source.uri):
        raise OutputError(
            shown(target), "lies in the output folder; give a target folder outside of it"
        )
    identity = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    record = {"format": content["format"], "output": shown(source.uri), "identity": identity}
    uri = join(target, "export.json")
    if source.storage.create(uri, json.dumps(record, indent=2).encode() + b"\n"):
        return
    try:
        found = json.loads(source.storage.read(uri))["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            shown(uri), "is no export.json of refinenet-batch; give another target folder"
        ) from error
    if found != identity:
        raise OutputError(
            shown(target),
            "holds the export of another job, or in another format; give another folder, or "
            "empty it",
        )


def _is_within(uri: str, folder: str) -> bool:
    if protocol_of(uri) != protocol_of(folder):
        return False
    if protocol_of(uri) == "file":
        uri, folder = os.path.realpath(shown(uri)), os.path.realpath(shown(folder))
    else:  # s3:// and s3a:// are one storage
        uri, folder = uri.partition("://")[2], folder.partition("://")[2]
    return f"{uri}/".startswith(f"{folder}/")
