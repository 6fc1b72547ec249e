"""The verification of an output: it finds each kind of damage, and what it says to do mends it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet_pages import page
from pipeline import run, verify
from pipeline.errors import OutputError
from pipeline.output.part_file import METADATA_KEY
from tars import make_tar, member_offsets
from tiny_job import CLASSES, TinyJob


@dataclass(frozen=True)
class Copy:
    """A copy of a run's output, to be damaged."""

    folder: Path

    def part(self, dataset: str, number: int) -> Path:
        """Return a dataset's part file of a number."""
        pattern = f"masks/dataset={dataset}/*-{'[0-9a-f]' * 16}-{number:06d}*.parquet"
        [path] = self.folder.glob(pattern)
        return path


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run: a folder, a whole tar and one that breaks off, four parts and a half."""
    job = TinyJob.make(tmp_path_factory.mktemp("verified"), checkpoint)
    members = []
    for path in sorted((job.root / "images").iterdir()):
        target = job.root / "targets" / path.name
        members += [
            (f"{path.stem}.jpg", path.read_bytes()),
            (f"{path.stem}.png", target.read_bytes()),
        ]
    tar = make_tar(members)
    (job.root / "whole.tar").write_bytes(tar)
    (job.root / "broken.tar").write_bytes(tar[: member_offsets(tar)[15][1] + 10])
    for name in ("whole", "broken"):
        job.spec["datasets"].append(
            {
                "name": name,
                "format": "webdataset",
                "images": str(job.root / f"{name}.tar"),
                "members": {"image": "jpg", "target": "png"},
                "classes": CLASSES,
            }
        )
    report = run(job.validated())
    assert (report.missing_parts, len(report.broken_shards)) == ([], 1)
    return job


@pytest.fixture
def output(finished, tmp_path):
    """A copy of the output that a test may damage."""
    return Copy(Path(shutil.copytree(finished.output, tmp_path / "copy")))


def rewrite(path, change_rows=None, change_identity=None):
    """Write a part file anew, with other rows or another identity, and right by its checksums."""
    table = pq.ParquetFile(path).read()
    identity = json.loads(table.schema.metadata[METADATA_KEY])
    if change_rows:
        rows = table.to_pylist()
        change_rows(rows)
        table = pa.Table.from_pylist(rows, schema=table.schema)
    if change_identity:
        change_identity(identity)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(identity, sort_keys=True)})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def flip(path, position, bit=0):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def deleted_part(output):
    path = output.part("pictures", 1)
    path.unlink()
    return path


def deleted_part_of_a_tar(output):
    path = output.part("whole", 1)
    path.unlink()
    return path


def bit_flipped_in_a_mask(output):
    path = output.part("pictures", 0)
    first, end = page(path.read_bytes(), "mask")
    flip(path, (first + end) // 2)
    return path


def bit_flipped_in_the_footer(output):
    path = output.part("pictures", 0)
    flip(path, path.read_bytes().rindex(b"picture-04"))  # of a largest value, by which readers skip
    return path


def bit_flipped_in_the_magic(output):
    path = output.part("pictures", 0)
    flip(path, 0)
    return path


def truncated_file(output):
    path = output.part("broken", 0)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def empty_file(output):
    path = output.part("whole", 0)
    path.write_bytes(b"")
    return path


def part_of_another_run(output):
    def change(identity):
        identity["fingerprint"]["scales"] = [0.5]

    path = output.part("whole", 0)
    rewrite(path, change_identity=change)
    return path


def part_copied_over_another(output):
    path = output.part("whole", 1)
    shutil.copyfile(output.part("whole", 0), path)
    return path


def part_copied_under_the_name_of_none(output):
    path = output.part("pictures", 2)
    stray = path.with_name(path.name.replace("-000002-end", "-000003"))
    shutil.copyfile(path, stray)
    return stray


def part_of_a_shard_that_is_not_planned(output):
    path = output.part("whole", 0)
    return Path(shutil.copy(path, output.folder / "masks/dataset=pictures"))


def row_twice(output):
    path = output.part("whole", 0)
    rewrite(path, lambda rows: rows.append(rows[-1]))
    return path


def row_twice_and_counted_twice(output):
    path = output.part("whole", 0)
    rewrite(
        path,
        lambda rows: rows.append(rows[-1]),
        lambda identity: identity["part"].update(images=6),
    )
    return path


def row_lacking(output):
    path = output.part("pictures", 0)
    rewrite(path, lambda rows: rows.pop())
    return path


def rows_of_another_part(output):
    path = output.part("whole", 1)
    rewrite(path, lambda rows: [row.update(index=row["index"] - 5) for row in rows])
    return path


def rows_that_skip_some(output):
    path = output.part("whole", 2)
    rewrite(path, lambda rows: [row.update(index=row["index"] + 5) for row in rows])
    return path


def rows_that_are_not_planned(output):
    path = output.part("pictures", 0)
    rewrite(path, lambda rows: rows[2].update(key="another"))
    return path


def row_of_another_shard(output):
    path = output.part("whole", 0)
    rewrite(path, lambda rows: rows[2].update(shard="another"))
    return path


def missing_plan(output):
    path = output.folder / "plan/pictures.parquet"
    path.unlink()
    return path


def damaged_plan(output):
    path = output.folder / "plan/pictures.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    return path


DAMAGES = {
    deleted_part: "is missing",
    deleted_part_of_a_tar: "is missing",
    bit_flipped_in_a_mask: "is damaged: OSError: could not verify page integrity",
    bit_flipped_in_the_footer: "misstates the range of target_uri in its footer",
    bit_flipped_in_the_magic: "does not begin as a Parquet file",
    truncated_file: "is damaged",
    empty_file: "is damaged",
    part_of_another_run: "is a part of another run; it differs in scales[0]: 0.5 there",
    part_copied_over_another: "holds another part, whose name is whole.tar-",
    part_copied_under_the_name_of_none: "is no part of what is planned",
    part_of_a_shard_that_is_not_planned: "is no part of what is planned",
    row_twice: "has 6 rows, and says that it has 5",
    row_twice_and_counted_twice: "one is there twice",
    row_lacking: "has 4 rows, and says that it has 5",
    rows_of_another_part: "has rows that other parts have as well, from index 0",
    rows_that_skip_some: "begins with index 15, though no part has index 10",
    rows_that_are_not_planned: "has another 'key' than is planned",
    row_of_another_shard: "has rows of another shard than its own",
    missing_plan: "is missing",
    damaged_plan: "is damaged",
}


def test_an_output_that_is_whole_is_found_right_and_counted(finished):
    report = verify(str(finished.output))

    lost = f"{finished.root}/broken.tar is lost or broke off: a row stands for all that could not"
    assert (report.exit_code, report.findings, len(report.notes)) == (0, [], 1)
    assert report.notes[0].startswith(lost)
    counts = [(d.name, d.parts, d.rows, d.images) for d in report.datasets]
    # The broken tar has seven whole samples, an image without its target, and a row for the rest.
    assert counts == [("pictures", 3, 12, 12), ("whole", 3, 12, 12), ("broken", 2, 9, 8)]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_in_the_file_that_has_it_and_nowhere_else(output, damage):
    path = damage(output)

    report = verify(str(output.folder))

    assert report.exit_code == 3
    assert [finding.file for finding in report.findings] == [str(path)]
    assert DAMAGES[damage] in report.findings[0].problem
    assert any(word in report.findings[0].remedy for word in ("run the job again", "delete it"))


def test_what_it_says_to_do_mends_the_output(finished):
    before = {path: path.read_bytes() for path in finished.output.glob("masks/*/*")}
    output = Copy(finished.output)
    for damage in (
        bit_flipped_in_a_mask,
        deleted_part,
        part_copied_over_another,
        part_copied_under_the_name_of_none,
    ):
        damage(output)

    found = verify(str(finished.output)).findings
    for finding in found:
        if "delete it" in finding.remedy:
            Path(finding.file).unlink()
    run(finished.validated())

    assert len(found) == 4
    assert verify(str(finished.output)).exit_code == 0
    assert {path: path.read_bytes() for path in finished.output.glob("masks/*/*")} == before


def test_files_that_are_not_ours_are_mentioned_and_are_no_error(output):
    folder = output.part("broken", 0).parent
    (folder / "README.txt").write_text("mine")
    (folder / ".part.parquet.0123.tmp").write_bytes(b"half")
    [cut] = folder.glob("*-cut.parquet")
    superseded = Path(shutil.copyfile(cut, str(cut).replace("-000001-", "-000000-")))

    report = verify(str(output.folder))

    assert report.exit_code == 0
    assert [note for note in report.notes if "broke off" not in note] == [
        f"{folder}/.part.parquet.0123.tmp is no part file; it is left alone",
        f"{folder}/README.txt is no part file; it is left alone",
        f"{superseded} counts no more; the next run deletes it",
    ]


def test_what_later_versions_write_beside_is_no_error(output):
    job = json.loads((output.folder / "job.json").read_text())
    (output.folder / "job.json").write_text(json.dumps({**job, "generation": 7}))
    rewrite(output.part("whole", 0), change_identity=lambda found: found.update(generation=7))

    assert verify(str(output.folder)).findings == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no job.json"),
        (b"[]", "is not a job.json of refinenet-batch"),
        (b"{", "is not a job.json of refinenet-batch"),
        ("table_version", "holds tables of version 0"),
    ],
)
def test_what_is_no_output_of_ours_is_refused(output, content, words):
    path = output.folder / "job.json"
    if content == "table_version":
        job = json.loads(path.read_text())
        job["fingerprint"]["table_version"] = 0
        content = json.dumps(job).encode()
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(OutputError, match=words):
        verify(str(output.folder))


@pytest.mark.s3
def test_an_output_in_an_object_store_is_verified_where_it_lies(output, s3):
    deleted = deleted_part(output)
    job = json.loads((output.folder / "job.json").read_text())
    job["spec"]["storage_options"] = {"s3": {"endpoint_url": s3.endpoint_url}}
    (output.folder / "job.json").write_text(json.dumps(job))
    files = [path for path in output.folder.rglob("*") if path.is_file()]
    names = [str(path.relative_to(output.folder)) for path in files]
    s3.upload(output.folder, "results/verified", names)

    report = verify("s3://results/verified")

    expected = f"s3://results/verified/{deleted.relative_to(output.folder)}"
    assert [(f.file, f.problem) for f in report.findings] == [(expected, "is missing")]
    assert [dataset.parts for dataset in report.datasets] == [2, 3, 2]
