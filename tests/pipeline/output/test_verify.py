"""The verification of an output: it finds each kind of damage, and what it says to do mends it."""

import io
import json
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import run, verify
from pipeline.errors import OutputError
from pipeline.output.check_part import PartRules, check_part
from pipeline.output.mask_png import encode_mask
from pipeline.output.mask_table import MaskRow, class_pixels, sparse_confusion
from pipeline.output.part_file import METADATA_KEY, part_file
from pipeline.output.part_name import Part
from refinenet_core import confusion_matrix
from refinenet_core.labels.palettes import png_palette, voc_colours
from tars import make_tar, member_offsets
from tiny_job import CLASSES, TinyJob

FINGERPRINT = {"model": "m", "scales": [0.75, 1.0], "datasets": [{"name": "d"}]}
PART = Part("d", "file:///in/images#000000", 0, 3, "end")
ZSTD_MAGIC = bytes.fromhex("28b52ffd")
SIZES = [(8, 12), (12, 8), (9, 9)]  # height, width


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


def page(data, column):
    """Return where the content of a column's last page, which is compressed, begins and ends."""
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    [chunk] = [c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column]
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    end = first + chunk.total_compressed_size
    return data.rindex(ZSTD_MAGIC, first, end), end


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
        lambda identity: identity["part"].update(images=len(SIZES) + 3),
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


def make_rows():
    """Return the rows of a part of three scored images."""
    rng = np.random.default_rng(0)
    rows = []
    for index, (height, width) in enumerate(SIZES):
        labels = rng.integers(0, 4, (height, width), dtype=np.uint8)
        target = rng.integers(0, 4, (height, width), dtype=np.uint8)
        target[0] = 255
        counts = confusion_matrix(labels, target, num_classes=4)
        name = f"picture-{index:02d}.png"
        row = MaskRow(PART.shard, index, name, f"file:///in/{name}", f"file:///targets/{name}")
        row.height, row.width = row.stored_height, row.stored_width = height, width
        row.mask = encode_mask(labels, png_palette(voc_colours(4)))
        row.class_pixels = class_pixels(labels)
        row.confidence = 0.5 + index / 7
        row.confusion = sparse_confusion(counts)
        row.ignored_pixels = width
        row.image_sha256 = f"{index:064x}"
        rows.append(row)
    return rows


RULES = PartRules(FINGERPRINT, num_classes=4, has_targets=True, protocol="native")


def problem_of(rows, rules=RULES):
    part = replace(PART, images=len(rows))
    return check_part(part_file(rows, part, FINGERPRINT), part.file_name, rules, None).problem


def meaning(data):
    """Return all that readers take from a part file: its table, metadata and statistics."""
    file = pq.ParquetFile(io.BytesIO(data))
    group = file.metadata.row_group(0)
    stated = [group.column(place).statistics for place in range(group.num_columns)]
    ranges = [found and found.has_min_max and (found.min, found.max) for found in stated]
    return file.read(), file.schema_arrow.metadata, ranges


def test_a_bit_flipped_anywhere_is_found_or_changes_nothing_that_readers_take():
    """What may go unseen: ranges in page headers, and of the footer what repeats or describes.

    That is encodings, uncompressed sizes, histograms, the ranges' older form, the writer's name.
    """
    data = part_file(make_rows(), PART, FINGERPRINT)
    table, metadata, ranges = meaning(data)
    drawn = random.Random(0)  # noqa: S311 - positions, not secrets
    unseen, positions = 0, [*range(16), *range(len(data) - 16, len(data))]
    positions += drawn.sample(range(len(data)), 800)

    for position in positions:
        flipped = bytearray(data)
        flipped[position] ^= 1 << drawn.randrange(8)
        if check_part(bytes(flipped), PART.file_name, RULES, None).problem is not None:
            continue
        unseen += 1
        found_table, found_metadata, found_ranges = meaning(bytes(flipped))
        assert found_table.equals(table), position
        assert found_metadata == metadata, position
        for found, stated in zip(found_ranges, ranges, strict=True):
            assert not found or found == stated, position

    assert unseen < 0.4 * len(positions)


def test_a_bit_flipped_in_a_page_is_always_found():
    data = part_file(make_rows(), PART, FINGERPRINT)

    for column in ("mask", "key", "confidence", "index"):
        first, end = page(data, column)
        for position in range(first, end, 3):
            flipped = bytearray(data)
            flipped[position] ^= 1 << position % 8
            problem = check_part(bytes(flipped), PART.file_name, RULES, None).problem
            assert problem is not None, (column, position)


def mask_of_another_size(row):
    row.height += 1


def mask_with_a_wrong_checksum(row):
    place = row.mask.index(b"IDAT") + 10
    row.mask = row.mask[:place] + bytes([row.mask[place] ^ 1]) + row.mask[place + 1 :]


def mask_without_palette(row):
    buffer = io.BytesIO()
    Image.new("RGB", (row.width, row.height)).save(buffer, format="PNG")
    row.mask = buffer.getvalue()


def mask_that_is_no_png(row):
    row.mask = b"GIF89a"


def mask_with_another_pixel(row):
    labels = np.array(Image.open(io.BytesIO(row.mask)))
    labels[0, 0] = (labels[0, 0] + 1) % 4
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))


def mask_with_a_class_that_is_none(row):
    labels = np.full((row.height, row.width), 4, dtype=np.uint8)
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))
    row.class_pixels = class_pixels(labels)


def mask_missing(row):
    row.mask = None


def other_class_pixels(row):
    row.class_pixels[0]["pixels"] += 1


def more_in_confusion_than_in_the_mask(row):
    row.confusion = [{"target": 0, "prediction": 0, "pixels": row.height * row.width}]
    row.ignored_pixels = 0


def pixels_that_confusion_lacks(row):
    row.ignored_pixels -= 1


def target_outside_the_classes(row):
    row.confusion[0]["target"] = 4


def cell_twice(row):
    first = max(row.confusion, key=lambda cell: cell["pixels"])
    row.confusion.remove(first)
    row.confusion += [dict(first, pixels=1), dict(first, pixels=first["pixels"] - 1)]


def not_scored(row):
    row.confusion = row.ignored_pixels = None


def scored_though_bad(row):
    row.status = "bad_target"


def counts_without_a_mask(row):
    row.mask, row.status = None, "model_error"


def flagged_cropped(row):
    row.flags.append("cropped")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (mask_of_another_size, "stated to be 8x13 with a palette"),
        (mask_with_a_wrong_checksum, "wrong checksum of the PNG's pixels"),
        (mask_without_palette, "of mode RGB"),
        (mask_that_is_no_png, "has a mask that cannot be read"),
        (mask_with_another_pixel, "has `class_pixels` that its mask does not have"),
        (mask_with_a_class_that_is_none, "has class 4 in its mask, of 4 classes"),
        (mask_missing, "is ok but has no mask"),
        (other_class_pixels, "has `class_pixels` that its mask does not have"),
        (more_in_confusion_than_in_the_mask, "more pixels of a class in `confusion`"),
        (pixels_that_confusion_lacks, "has 95 pixels in `confusion` and `ignored_pixels`, 96"),
        (target_outside_the_classes, "pixels of class 4 in `confusion`"),
        (cell_twice, "has a cell of `confusion` twice"),
        (not_scored, "has status 'ok' and is not scored"),
        (scored_though_bad, "has status 'bad_target' and is scored"),
        (counts_without_a_mask, "has counts but no mask"),
        (flagged_cropped, "is flagged `cropped`"),
    ],
)
def test_a_row_that_contradicts_itself_is_found(change, words):
    rows = make_rows()
    assert problem_of(rows) is None

    change(rows[1])

    problem = problem_of(rows)
    assert problem.startswith("row 1 ")
    assert words in problem


def test_rows_without_a_prediction_are_right_if_they_have_no_counts():
    rows = make_rows()
    rows[1] = replace(rows[1], mask=None, class_pixels=None, confidence=None)
    rows[1] = replace(rows[1], confusion=None, ignored_pixels=None)

    rows[1].fail("undecodable", "not an image")

    assert problem_of(rows) is None


def fixed_rows(*, outside=255, flags=("cropped",)):
    """Return a row of the protocol that looks at the central square, of an image of 8x12."""
    labels = np.full((8, 12), outside, dtype=np.uint8)
    labels[:, 2:10] = 3
    row = make_rows()[0]
    row.mask = encode_mask(labels, png_palette(voc_colours(4)))
    row.class_pixels = [{"class": 3, "pixels": 64}]
    row.confusion = [{"target": 1, "prediction": 3, "pixels": 60}]
    row.ignored_pixels = 36
    row.flags += flags
    return [row]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (fixed_rows(), None),
        (fixed_rows(outside=0), "where the protocol fixed does not look"),
        (fixed_rows(flags=()), "not flagged where it is"),
    ],
)
def test_outside_a_protocols_region_a_mask_holds_255_and_nothing_else(rows, words):
    problem = problem_of(rows, replace(RULES, protocol="fixed"))

    assert problem is None if words is None else words in problem


def test_without_its_protocol_255_is_no_class():
    assert "has class 255 in its mask" in problem_of(fixed_rows())


def test_many_problems_of_a_file_are_counted():
    rows = make_rows() * 3
    for index, row in enumerate(rows):
        rows[index] = replace(row, index=index, mask=None)

    problem = problem_of(rows)

    assert problem.count("is ok but has no mask") == 2
    assert problem.endswith("and 15 more")
