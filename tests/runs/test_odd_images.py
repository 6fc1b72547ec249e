"""Odd and broken image files through the whole pipeline: in every form of a dataset the same row.

Run with -s for a table of what becomes of each file.
"""

import csv
import functools
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import JobSpec, RunReport, run
from pipeline.datasets.pack import pack
from pipeline.errors import DecodeError
from pipeline.images.decoding import decode_image
from pipeline.spec.dataset_spec import DatasetSpec, DecodeSpec
from pipeline.storage.storage import Storage
from pipeline.storage.uris import without_extension
from tiny_job import CLASSES, MODEL, decode_mask

FORMS = ("folder", "packed-tar", "table", "manifest")
PLAIN_TAR = "plain-tar"  # its keys are cut at the first dot, and three files share one
# All that a row says of an image; the others say where it came from.
COMPARED = (
    *("status", "error", "height", "width", "stored_height", "stored_width"),
    *("mask", "class_pixels", "confidence", "image_sha256"),
)


@dataclass(frozen=True)
class Outcome:
    """A run over the odd images: its report, and the rows by form and by file."""

    images: Path
    facts: dict[str, dict]
    report: RunReport
    rows: dict[str, dict[str, dict]]
    plain_tar_rows: list[dict]

    @property
    def folder_rows(self):
        return self.rows["folder"]


@pytest.fixture(scope="module")
def outcome(shared, tmp_path_factory, checkpoint, without_ray):  # noqa: ARG001 - runs need it
    root = tmp_path_factory.mktemp("odd-images")
    facts = json.loads((shared / "data/odd_images/index.json").read_text())
    files = [fact["file"] for fact in facts]
    (root / "images").mkdir()
    for name in files:
        shutil.copy(shared / "data/odd_images" / name, root / "images" / name)
    spec = {
        "name": "odd",
        "model": {"name": MODEL, "num_classes": len(CLASSES), "checkpoint": str(checkpoint)},
        "inference": {"scales": [0.25], "precision": "float32"},
        "datasets": [{"classes": CLASSES, **fields} for fields in in_every_form(root)],
        "output": str(root / "output"),
        "resources": {"threads_per_actor": 2, "gpus_per_actor": 0},
    }

    report = run(JobSpec.from_mapping(spec))

    rows = {form: read_rows(root / "output", form) for form in (*FORMS, PLAIN_TAR)}
    return Outcome(
        root / "images",
        {fact["file"]: fact for fact in facts},
        report,
        {form: by_file(rows[form], files) for form in FORMS},
        rows[PLAIN_TAR],
    )


def in_every_form(root):
    """Write the images below `root` in every form; yield each form's dataset."""
    folder = DatasetSpec(name="folder", images=str(root / "images"))
    yield {"name": "folder", "images": f"{root}/images"}
    for name, kind in (("packed-tar", "webdataset"), ("table", "parquet")):
        packed = pack(folder, f"file://{root}/{name}", Storage(), pack_format=kind)
        assert packed.failures == []
        yield {"name": name, **packed.dataset}
    with tarfile.open(root / "plain.tar", "w") as archive:
        archive.add(root / "images", "images")
    yield {"name": PLAIN_TAR, "format": "webdataset", "images": f"{root}/plain.tar"}
    with (root / "list.csv").open("w", newline="", encoding="utf-8") as file:
        names = [[f"images/{path.name}"] for path in (root / "images").iterdir()]
        csv.writer(file).writerows([["image"], *names])
    yield {"name": "manifest", "format": "manifest", "images": f"{root}/list.csv"}


def read_rows(output, form):
    parts = sorted((output / f"masks/dataset={form}").glob("*.parquet"))
    return [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]


def by_file(rows, names):
    """Return rows by the names of their image files, which lie in byte order in every form."""
    assert [row["index"] for row in rows] == list(range(len(rows)))
    return dict(zip(sorted(names), rows, strict=True))


def test_every_odd_image_is_one_row_and_the_same_in_every_form(outcome):
    expected = outcome.folder_rows
    assert len(expected) == 72

    for form in FORMS:
        assert set(outcome.rows[form]) == set(expected), form
        for name, row in outcome.rows[form].items():
            digest = hashlib.sha256((outcome.images / name).read_bytes()).hexdigest()
            assert row["image_sha256"] == digest, (form, name)
            assert said(row) == said(expected[name]), (form, name)
            assert row["key"] == without_extension(name), (form, name)


def test_a_tar_of_plain_files_loses_no_image_without_naming_it(outcome):
    """WebDataset cuts names at the first dot: files that differ behind it alone are one sample."""
    shared_key = {"pillow__hopper.avif", "pillow__hopper.gif", "pillow__hopper.pfm"}
    rows = {row["uri"].rpartition("/")[2]: row for row in outcome.plain_tar_rows}
    [several] = [rows.pop(name) for name in sorted(shared_key & set(rows))]

    assert set(rows) == set(outcome.folder_rows) - shared_key
    for name, row in rows.items():
        assert said(row) == said(outcome.folder_rows[name]), name
        assert row["key"] == "images/" + name.partition(".")[0]
    assert (several["status"], several["key"]) == ("unreadable", "images/pillow__hopper")
    assert "several members that may be its image (extensions: avif, gif, pfm)" in several["error"]


def said(row):
    """Return what a row says of its image, but for where it lies and what lies beside it."""
    flags = sorted(set(row["flags"]) - {"duplicate_key"})
    return {column: row[column] for column in COMPARED} | {"flags": flags}


def test_the_report_counts_every_odd_image_once(outcome):
    statuses = Counter(row["status"] for row in outcome.folder_rows.values())
    flags = Counter(flag for row in outcome.folder_rows.values() for flag in row["flags"])

    assert outcome.report.complete
    assert outcome.report.exit_code == 1
    found = {dataset.name: dataset.counts for dataset in outcome.report.datasets}
    assert set(found) == {*FORMS, PLAIN_TAR}
    for form in FORMS:
        assert found[form].images == 72
        assert found[form].statuses == statuses
        assert found[form].flags == flags


def test_statuses_are_those_that_the_files_deserve(outcome):
    readable = {name for name, fact in outcome.facts.items() if fact["rgb"] == "ok"}

    of_status = {}
    for name, row in outcome.folder_rows.items():
        of_status.setdefault(row["status"], set()).add(name)

    assert of_status["unsupported"] == {"pillow__hopper.pfm", "pillow__drawing.wmf"}
    assert of_status["ok"] == readable - {"pillow__hopper.pfm", "spng__badcrc.png"}
    assert set(of_status) == {"ok", "unsupported", "undecodable"}
    for row in outcome.folder_rows.values():
        assert (row["error"] is None) == (row["status"] == "ok")
        assert "0x" not in (row["error"] or "")  # an address would differ from run to run


def test_every_mask_has_the_size_of_its_image_as_it_stands_upright(outcome):
    for name, row in outcome.folder_rows.items():
        if row["status"] != "ok":
            assert row["mask"] is None, name
            assert row["class_pixels"] is None, name
            continue
        fact = outcome.facts[name]
        lies = (fact["exif_orient"] or 1) >= 5
        width, height = fact["size"][::-1] if lies else fact["size"]
        mask = decode_mask(row["mask"])
        assert mask.shape == (height, width) == (row["height"], row["width"]), name
        assert [row["stored_width"], row["stored_height"]] == fact["size"], name
        counted = {cell["class"]: cell["pixels"] for cell in row["class_pixels"]}
        assert counted == Counter(mask.ravel().tolist()), name


def deep(images, fact):
    """Say whether samples have more than 8 bits, by the mode, a PNG's header, or the name."""
    data = (images / fact["file"]).read_bytes()
    png = data.startswith(b"\x89PNG") and data[24] == 16
    return fact["mode"] == "I;16" or png or fact["file"] in DEEP_TIFFS


DEEP_TIFFS = {"pillow__tiff_16bit_RGBa.tiff", "pillow__tiff_strip_cmyk_16l_jpeg.tif"}
TRANSPARENT_COLOUR = {"pillow__rgb_trns.png"}  # its mode is RGB


def test_no_image_is_altered_without_a_flag_that_says_so(outcome):
    keys = Counter(row["key"] for row in outcome.folder_rows.values())
    for name, row in outcome.folder_rows.items():
        if row["status"] != "ok":
            assert set(row["flags"]) <= {"duplicate_key"}, name
            continue
        fact = outcome.facts[name]
        expected = {
            "duplicate_key": keys[row["key"]] > 1,
            "first_frame": fact["n_frames"] > 1,
            "alpha_dropped": fact["mode"] in ("RGBA", "LA") or name in TRANSPARENT_COLOUR,
            "scaled_16bit": deep(outcome.images, fact),
            "exif_applied": (fact["exif_orient"] or 1) != 1,
            "cmyk_converted": fact["mode"] == "CMYK",
        }
        assert set(row["flags"]) == {flag for flag, there in expected.items() if there}, name


def test_all_that_can_become_of_an_odd_image_does(outcome):
    """The files cover every flag, so that the tests above can fail."""
    flags = [flag for row in outcome.folder_rows.values() for flag in row["flags"]]
    print_table(outcome)

    assert Counter(flags) == {
        "duplicate_key": 3,
        "alpha_dropped": 7,
        "cmyk_converted": 2,
        "exif_applied": 6,
        "first_frame": 5,
        "scaled_16bit": 8,
    }


def print_table(outcome):
    for name, row in sorted(outcome.folder_rows.items()):
        note = ", ".join(row["flags"]) or row["error"] or ""
        print(f"{name:60} {row['status']:12} {note}")  # noqa: T201 - asked for by pytest -s


@functools.cache
def image_magick():
    """Return the command that starts ImageMagick, and the formats that it reads."""
    for name in ("magick", "convert"):
        program = shutil.which(name)
        if program and b"ImageMagick" in start(program, "-version")[:40]:
            listed = start(program, "-list", "format").decode().splitlines()
            words = [line.split() for line in listed if line.strip()]
            known = {w[0].strip("*") for w in words if len(w) > 2 and w[2].startswith("r")}
            return program, known
    return None, set()


def start(program, *arguments, data=b""):
    return subprocess.run(
        [program, *arguments], input=data, capture_output=True, check=False
    ).stdout


def image_magicks_pixels(program, data, kind):
    """Return the first image in a file as ImageMagick reads it: upright, RGB, 8 bits, opaque."""
    # It would convert a PNG from the gamma that its header names; Pillow and torchvision do not.
    as_it_is = ["-set", "colorspace", "sRGB"] if kind == "PNG" else []
    options = ["-auto-orient", "-alpha", "off", *as_it_is, "-depth", "8", "ppm:-"]
    return np.asarray(Image.open(io.BytesIO(start(program, "-[0]", *options, data=data))))


# Largest and mean difference that is allowed, of 255; what is not here is equal.
DEEP = (1, 0.5)  # it rounds what Pillow cuts off
LOSSY = (2, 0.1)  # equal where both use the same decoder; the standards leave some to it
TOLERANCES = {
    "pillow__hopper.avif": (40, 2.0),  # libheif interpolates colours otherwise than libavif
    # Premultiplied by an alpha near 0: Pillow divides 8 bits by it, ImageMagick 16.
    "pillow__tiff_16bit_RGBa.tiff": (255, 2.5),
}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
@pytest.mark.parametrize("kind", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_pixels_are_those_that_imagemagick_reads(shared, kind):
    program, known = image_magick()
    if kind not in known:
        pytest.skip(f"needs ImageMagick with its delegate for {kind}: apt-get install imagemagick")
    folder = shared / "data/odd_images"
    facts = json.loads((folder / "index.json").read_text())
    compared = 0
    for fact in facts:
        if fact.get("format") != kind:
            continue
        name, data = fact["file"], (folder / fact["file"]).read_bytes()
        try:
            decoded = decode_image(data, DecodeSpec())
        except DecodeError:
            continue

        other = image_magicks_pixels(program, data, kind)

        assert other.shape == decoded.pixels.shape, name
        lossy = LOSSY if kind in ("JPEG", "WEBP") else (0, 0)
        usual = DEEP if "scaled_16bit" in decoded.flags else lossy
        largest, mean = TOLERANCES.get(name, usual)
        difference = np.abs(other.astype(int) - decoded.pixels)
        assert difference.max() <= largest, name
        assert difference.mean() <= mean, name
        compared += 1
    assert compared > 0


def test_a_flipped_bit_in_a_png_is_never_other_pixels_without_a_word(shared):
    """Pillow leaves the checksum of a PNG's pixels unread: one flip in ten gave other labels."""
    data = (shared / "data/camvid/testannot/0001TP_008550.png").read_bytes()
    first = data.index(b"IDAT") + 4
    size = int.from_bytes(data[first - 8 : first - 4], "big")
    rng = np.random.default_rng(0)

    for place in first + rng.integers(0, size + 4, 200):  # the checksum's own bits as well
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(DecodeError) as caught:
            decode_image(bytes(damaged), DecodeSpec())
        assert caught.value.status == "undecodable"
