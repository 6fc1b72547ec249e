"""A job that was run, to be exported: images of three kinds of source, and odious keys."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import run
from tars import make_tar
from tiny_job import CLASSES, TinyJob, decode_mask

KEYS = [
    "../../escaped",
    "/etc/absolute",
    "back\\..\\slash",
    "nul\0l",
    "图" * 120,
    "twice",
    "twice",
    "Twice",
    "clip.png/frame",
    "clip",
    "a.b",
    "",
]


def run_exported_job(root, checkpoint):
    """Run a job: a folder with a broken image, a tar, and a table of odious keys."""
    job = TinyJob.make(root, checkpoint)
    pictures = [path.read_bytes() for path in sorted((job.root / "images").iterdir())]
    (job.root / "images/picture-01.png").write_bytes(b"not an image")
    members = [(f"in/{number:02d}.png", data) for number, data in enumerate(pictures)]
    (job.root / "shard.tar").write_bytes(make_tar(members))
    pq.write_table(pa.table({"image": pictures, "key": KEYS}), job.root / "table.parquet")
    columns = {"image": "image", "key": "key"}
    job.spec["datasets"] += [
        {
            "name": "tars",
            "format": "webdataset",
            "images": str(job.root / "shard.tar"),
            "classes": CLASSES,
        },
        {
            "name": "tables",
            "format": "parquet",
            "images": str(job.root / "table.parquet"),
            "columns": columns,
            "classes": [
                {"name": name, "colour": [50 * number, 255, number]}
                for number, name in enumerate(CLASSES)
            ],
        },
    ]
    job.spec["tolerance"] = {"failed_images": 1}
    assert run(job.validated()).complete
    return job


def masks(output, dataset):
    """Return the label map of every row that has a mask, with the row."""
    rows = read_rows_of(output, dataset)
    return [(row, decode_mask(row["mask"])) for row in rows if row["mask"] is not None]


def read_rows_of(output, dataset):
    files = sorted(Path(output).glob(f"masks/dataset={dataset}/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def change_rows(job, dataset, change):
    """Write the part files of a dataset anew, each row with a mask changed."""
    for path in job.output.glob(f"masks/dataset={dataset}/*.parquet"):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        for row in rows:
            if row["mask"] is not None:
                change(row)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
