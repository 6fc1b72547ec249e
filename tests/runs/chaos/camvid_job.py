"""CamVid in three forms on an S3 server, a job for each, and what an undisturbed run gives."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import s3fs
import yaml

import camvid
import command
from chaos.attack import RestartableStore
from chaos.part_reader import list_parts

_PART_IMAGES = 4
_SHARD_BYTES = 9 * 240_000  # some 8 images and their targets
_INPUT = "shards/camvid"


@dataclass
class Job:
    """The specs, and access to what comes out.

    Attributes:
        server: Where everything lies.
        root: Folder for the specs' files.
        spec: What all of them have in common.
        datasets: CamVid by its form, which is its name as well.
        images: How many.
        undisturbed: Forms that were run without disturbance.
    """

    server: RestartableStore
    root: Path
    spec: dict
    datasets: dict[str, dict]
    images: int
    undisturbed: set[str] = field(default_factory=set)

    @property
    def filesystem(self) -> s3fs.S3FileSystem:
        """A new client of the server."""
        return self.server.store.filesystem()

    @property
    def environment(self) -> dict[str, str]:
        """Credentials."""
        return self.server.store.environment

    def write_spec(self, output: str, forms: tuple[str, ...], endpoint_url: str) -> Path:
        """Write the spec of a run; return its path."""
        path = self.root / f"{output.replace('/', '-')}.yaml"
        spec = {
            **self.spec,
            "datasets": [self.datasets[form] for form in forms],
            "output": f"s3://{output}",
            "storage_options": {"s3": {"endpoint_url": endpoint_url}},
        }
        path.write_text(yaml.safe_dump(spec))
        return path

    def tables(self, output: str, form: str) -> dict[str, pa.Table]:
        """Return the mask table of a dataset, part by part."""
        filesystem, folder = self.filesystem, f"{output}/masks/dataset={form}"
        files = {
            name: pa.BufferReader(filesystem.cat_file(f"{folder}/{name}"))
            for name in list_parts(filesystem, folder)
        }
        return {name: pq.ParquetFile(file).read() for name, file in files.items()}

    def summary(self, output: str, form: str) -> dict:
        """Return what `summary.json` says of a dataset."""
        content = json.loads(self.filesystem.cat_file(f"{output}/summary.json"))
        [dataset] = [each for each in content["datasets"] if each["name"] == form]
        return dataset


def put_on_server(shared, root, server, *, images):
    """Put some images on a server in every form; return the job."""
    names = sorted(path.name for path in (shared / camvid.IMAGES).iterdir())[:images]
    for source, folder in ((camvid.IMAGES, "images"), (camvid.TARGETS, "targets")):
        server.store.upload(shared / source, f"{_INPUT}/{folder}", names)
    folder = f"s3://{_INPUT}"
    forms = {
        "folder": {
            "images": f"{folder}/images/*.png",
            "targets": f"{folder}/targets/{{stem}}.png",
        },
        "tars": _packed(server, "webdataset"),
        "tables": _packed(server, "parquet"),
    }
    spec = {
        "name": "chaos",
        "model": camvid.model(shared / "data/weights"),
        "inference": {"scales": [0.5], "precision": "float32"},
        "part_images": _PART_IMAGES,
        "resources": {
            "actors": {"min": 1, "max": 1},
            "gpus_per_actor": 0,
            "threads_per_actor": 1,
            "executor": "ray",
        },
    }
    datasets = {
        name: {"name": name, "classes": "camvid", **dataset} for name, dataset in forms.items()
    }
    return Job(server, root, spec, datasets, images)


def _packed(server, kind):
    done = command.run(
        "pack",
        f"s3://{_INPUT}/images",
        f"s3://{_INPUT}/{kind}",
        *("--targets", f"s3://{_INPUT}/targets/{{stem}}.png", "--format", kind),
        *("--shard-size", _SHARD_BYTES, "--json"),
        environment=server.store.environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["dataset"]


def run_undisturbed(job, form):
    """Run a form without disturbance, unless that was done; return the output."""
    output = f"results/undisturbed-{form}"
    if form not in job.undisturbed:
        spec = job.write_spec(output, (form,), job.server.store.endpoint_url)
        done = command.run("run", spec, environment=job.environment, ray=False)
        assert done.returncode == 0, done.stderr
        tables = job.tables(output, form).values()
        rows = [row["status"] for table in tables for row in table.to_pylist()]
        assert rows == ["ok"] * job.images
        assert len(tables) >= job.images // _PART_IMAGES
        job.undisturbed.add(form)
    return output


def find_differences(job, output, form):
    """Say where an output differs from the undisturbed one."""
    undisturbed = run_undisturbed(job, form)
    expected, found = job.tables(undisturbed, form), job.tables(output, form)
    differences = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    differences += [f"{name} is too much" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        differences += [
            f"{name}: {column}"
            for column in expected[name].column_names
            if column not in found[name].column_names
            or expected[name][column] != found[name][column]
        ]
        if not expected[name].equals(found[name]):
            differences.append(f"{name} as a whole")
    rows = Counter(
        (row["shard"], row["index"])
        for table in found.values()
        for row in table.select(["shard", "index"]).to_pylist()
    )
    differences += [f"{row} is there {count} times" for row, count in rows.items() if count > 1]
    if job.summary(output, form) != job.summary(undisturbed, form):
        differences.append("the summary")
    return differences
