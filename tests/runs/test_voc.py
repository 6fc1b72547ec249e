"""PASCAL VOC's images and masks through the whole pipeline: ways to hold labels, and traps."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import JobSpec, run
from tiny_job import MODEL, decode_mask, save_checkpoint

pytestmark = pytest.mark.usefixtures("without_ray")

VOID, CLASSES = 255, 21


@pytest.fixture(scope="module")
def voc_checkpoint(tmp_path_factory):
    """Random weights of a network with VOC's 21 classes."""
    folder = tmp_path_factory.mktemp("voc-checkpoint")
    return save_checkpoint(folder / "voc.pth", num_classes=CLASSES)


@pytest.fixture
def voc(shared):
    return shared / "data/voc"


def run_job(root, checkpoint, datasets):
    """Run a job over datasets of VOC's classes; return its report and its rows by dataset."""
    spec = {
        "name": "voc",
        "model": {"name": MODEL, "num_classes": CLASSES, "checkpoint": str(checkpoint)},
        "inference": {"scales": [0.25], "precision": "float32"},
        "datasets": [{"classes": "voc", **dataset} for dataset in datasets],
        "output": f"{root}-output",
        "part_images": 8,
        "resources": {"threads_per_actor": 2, "gpus_per_actor": 0},
    }
    report = run(JobSpec.from_mapping(spec))
    rows = {}
    for part in sorted(Path(f"{root}-output").glob("masks/*/*.parquet")):
        found = rows.setdefault(part.parent.name.removeprefix("dataset="), {})
        found.update({row["key"]: row for row in pq.ParquetFile(part).read().to_pylist()})
    return report, rows


def stored(path):
    """Return the palette indices in one of VOC's masks."""
    return np.asarray(Image.open(path))


def confusion(target, prediction):
    """Count pixels by target and prediction, written out for the test."""
    counted = target != VOID
    cells = target[counted].astype(int) * CLASSES + prediction[counted]
    return np.bincount(cells, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)


def matrix(row):
    """Return a row's confusion, from its cells."""
    counts = np.zeros((CLASSES, CLASSES), int)
    for cell in row["confusion"]:
        counts[cell["target"], cell["prediction"]] += cell["pixels"]
    return counts


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def drawn(path):
    """Return one of VOC's masks as RGB, each index in its palette's colour."""
    palette = np.array(Image.open(path).getpalette(), np.uint8).reshape(-1, 3)
    return palette[stored(path)]


def test_masks_and_their_drawings_in_colour_score_alike_image_by_image(
    voc, voc_checkpoint, tmp_path
):
    masks = sorted((voc / "SegmentationClass").glob("*.png"))
    for path in masks:
        (tmp_path / path.name).write_bytes(png(drawn(path)))
    images = f"{voc}/JPEGImages/*.jpg"
    indices = {"images": images, "targets": f"{voc}/SegmentationClass/{{stem}}.png"}
    colours = {"images": images, "targets": f"{tmp_path}/{{stem}}.png"}

    report, rows = run_job(
        tmp_path,
        voc_checkpoint,
        [
            {"name": "indices", **indices},
            {"name": "colours", **colours, "labels": {"encoding": "colours"}},
        ],
    )

    assert report.exit_code == 0
    assert [dataset.counts.scored_images for dataset in report.datasets] == [19, 19]
    total = np.zeros((CLASSES, CLASSES), int)
    for path in masks:
        of_index, of_colour = rows["indices"][path.stem], rows["colours"][path.stem]
        expected = confusion(stored(path), decode_mask(of_index["mask"]))
        np.testing.assert_array_equal(matrix(of_index), expected)
        assert of_colour["confusion"] == of_index["confusion"]
        assert of_colour["mask"] == of_index["mask"]
        assert of_colour["ignored_pixels"] == (stored(path) == VOID).sum() > 0
        total += expected
    for dataset in report.datasets:
        np.testing.assert_array_equal(dataset.counts.confusion[:, :CLASSES], total)
        hits, either = np.diag(total), total.sum(0) + total.sum(1) - np.diag(total)
        assert dataset.scores.miou == pytest.approx((hits[either > 0] / either[either > 0]).mean())


class Traps:
    """Copies of one of VOC's images, each with another target, below a folder."""

    def __init__(self, root, voc):
        self.root, self.voc = root, voc
        self.name = "2007_000039"  # it has the last class, 20
        self.mask = voc / "SegmentationClass" / f"{self.name}.png"
        self.ids = stored(self.mask)

    def add(self, dataset, key, target):
        """Give an image a target of these bytes, or none."""
        for folder in ("images", "targets"):
            (self.root / dataset / folder).mkdir(parents=True, exist_ok=True)
        image = self.root / dataset / "images" / f"{key}.jpg"
        shutil.copy(self.voc / "JPEGImages" / f"{self.name}.jpg", image)
        if target is not None:
            (self.root / dataset / "targets" / f"{key}.png").write_bytes(target)

    def spec(self, dataset, **labels):
        """Return a dataset of what was added."""
        folder = self.root / dataset
        return {
            "name": dataset,
            "images": f"{folder}/images/*.jpg",
            "targets": f"{folder}/targets/{{stem}}.png",
            "targets_missing": "row",
            "labels": labels,
        }


@pytest.fixture
def traps(voc, tmp_path):
    return Traps(tmp_path, voc)


def jpeg_of(path):
    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def test_every_trap_in_a_target_gets_its_status_and_stays_out_of_the_scores(
    traps, voc_checkpoint, tmp_path
):
    ids, good = traps.ids, traps.mask.read_bytes()
    with_77 = ids.copy()
    with_77[100, 200:210] = 77
    shifted = np.where(ids == VOID, VOID, ids + 1).astype(np.uint8)  # 1 to 21
    other_colour = drawn(traps.mask)
    other_colour[50, 60:65] = (1, 2, 3)
    for key, target in {
        "good": good,
        "wrong-size": png(ids[:-1]),
        "turned": png(np.rot90(ids).copy()),
        "value-77": png(with_77),
        "shifted": png(shifted),
        "in-colours": png(drawn(traps.mask)),
        "jpeg": jpeg_of(traps.mask),
        "text": b"no image at all",
        "cut": good[: len(good) // 2],
        "missing": None,
    }.items():
        traps.add("indices", key, target)
    traps.add("colours", "good", png(drawn(traps.mask)))
    traps.add("colours", "other-colour", png(other_colour))

    report, rows = run_job(
        tmp_path,
        voc_checkpoint,
        [traps.spec("indices"), traps.spec("colours", encoding="colours")],
    )

    assert report.exit_code == 1
    assert rows["indices"].pop("missing")["status"] == "missing_target"
    good_row = rows["indices"].pop("good")
    assert rows["colours"].pop("good")["confusion"] == good_row["confusion"]
    bad = {**rows["indices"], **rows["colours"]}
    assert {row["status"] for row in bad.values()} == {"bad_target"}
    height, width = ids.shape
    none_of = "which is none of the 21 classes and not ignore_index 255; the first at"
    for key, error in {
        "wrong-size": f"target is {width}x{height - 1} pixels, its image {width}x{height}",
        "turned": f"target is {height}x{width} pixels, its image {width}x{height}",
        "value-77": f"target holds [77], {none_of} x=200, y=100; if that is unlabelled, write "
        "`ignore_index: 77`",
        "shifted": f"target holds [21], {none_of} {place_of(shifted == 21)}; if 0 is unlabelled "
        "in it, write `labels: {reduce_zero_label: true}`",
        "in-colours": "target has pixels of mode RGB; expected class ids as grey values or as the "
        "indices of a palette; if its colours stand for the classes, write `labels: {encoding: "
        "colours}`",
        "jpeg": "target is JPEG compressed with loss, which alters labels; write PNG",
        "text": "target: in no known image format, or damaged at its head",
        "cut": "target: OSError: image file is truncated",
        "other-colour": "target holds (1, 2, 3), none of the colours of the 21 classes and not of "
        "unlabelled pixels; the first at x=60, y=50; if they are unlabelled, write "
        "`labels: {ignore_colours: [[1, 2, 3]]}`",
    }.items():
        row = bad.pop(key)
        assert row["error"] == error
        assert row["mask"] == good_row["mask"], key
        assert row["confusion"] is None
        assert row["ignored_pixels"] is None
    assert bad == {}
    for dataset in report.datasets:
        assert dataset.counts.scored_images == 1
        assert dataset.counts.ignored_pixels == (ids == VOID).sum()
        np.testing.assert_array_equal(dataset.counts.confusion[:, :CLASSES], matrix(good_row))


def place_of(pixels):
    """Return where the first of these pixels is, as messages have it."""
    y, x = np.argwhere(pixels)[0]
    return f"x={x}, y={y}"


def test_every_way_to_hold_the_same_labels_gives_the_same_scores(traps, voc_checkpoint, tmp_path):
    ids = traps.ids
    void = ids == VOID
    ways = {
        "palette": (traps.mask.read_bytes(), {}),
        "grey": (png(ids), {"encoding": "indices"}),
        "colours": (png(drawn(traps.mask)), {"encoding": "colours"}),
        "void-is-0": (
            png(np.where(void, 0, ids + 1).astype(np.uint8)),
            {"reduce_zero_label": True},
        ),
        "void-is-0-of-16-bits": (
            png(np.where(void, 0, ids.astype(np.uint16) + 1)),
            {"reduce_zero_label": True},
        ),
        "own-numbers-of-16-bits": (
            png(np.where(void, 60000, ids.astype(np.uint16) * 1000 + 7)),
            {"label_map": {60000: VOID} | {k * 1000 + 7: k for k in range(CLASSES)}},
        ),
        "own-colour-of-void": (
            png(np.where(void[..., np.newaxis], np.uint8(1), drawn(traps.mask))),
            {"encoding": "colours", "ignore_colours": [[1, 1, 1]]},
        ),
    }
    for name, (target, _) in ways.items():
        traps.add(name, "image", target)

    report, rows = run_job(
        tmp_path, voc_checkpoint, [traps.spec(name, **labels) for name, (_, labels) in ways.items()]
    )

    assert report.exit_code == 0
    for name in ways:
        row = rows[name]["image"]
        np.testing.assert_array_equal(matrix(row), confusion(ids, decode_mask(row["mask"])))
        assert row["ignored_pixels"] == void.sum() > 0, name
    assert len({dataset.scores.miou for dataset in report.datasets}) == 1
