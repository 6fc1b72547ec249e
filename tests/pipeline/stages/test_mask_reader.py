"""Scoring masks that exist already: a run's own figures come back, and odd masks are rows."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from pipeline import JobSpec, run, verify
from pipeline.datasets.encoded_image import EncodedImage
from pipeline.errors import OutputError, SpecError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.part_name import Part
from pipeline.report.write_summary import report_content
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.isolate_crashes import IsolatingPartMaker
from pipeline.stages.mask_reader import Scorer
from pipeline.stages.receipt import StageSeconds
from pipeline.stages.stop_flag import LocalStopFlag
from pipeline.storage.storage import Storage
from refinenet_core import confusion_matrix
from tiny_job import CLASSES, TinyJob, decode_mask, picture

OF_THE_IMAGES = ("miou_interval", "mean_confidence")  # not in the masks


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, checkpoint, request):
    """A finished run, its report, and its masks as a folder of PNGs."""
    request.getfixturevalue("without_ray")
    job = TinyJob.make(tmp_path_factory.mktemp("segmented"), checkpoint)
    job.spec["metrics"] = {"boundary_iou": True}
    report = run(job.validated())
    masks = job.root / "masks"
    masks.mkdir()
    for row in job.rows():
        (masks / f"{row['key']}.png").write_bytes(row["mask"])
    return job, report


@pytest.fixture(autouse=True)
def _pillows_limit():
    """A Scorer sets Pillow's limit for its process."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


def evaluation(output, *, targets="", **dataset):
    """Return the spec of an evaluation."""
    given = {"targets": str(targets)} if targets else {}
    return {
        "name": "scored",
        "datasets": [
            {"name": "pictures", "classes": CLASSES, "predictions": {}, **given, **dataset}
        ],
        "output": str(output),
        "metrics": {"boundary_iou": True},
        "part_images": 5,
        "resources": {"actors": {"min": 1, "max": 1}},
    }


def figures(report):
    """Return the summary of a report's only dataset, without what masks do not tell."""
    [dataset] = report_content(report)["datasets"]
    return {name: value for name, value in dataset.items() if name not in OF_THE_IMAGES}


def test_exported_masks_give_the_runs_own_figures(segmented, tmp_path):
    job, report = segmented
    spec = evaluation(
        tmp_path / "scored",
        images=job.root / "masks/*.png",
        targets=job.root / "targets/{stem}.png",
    )

    scored = run(JobSpec.from_mapping(json.loads(json.dumps(spec, default=str))))

    assert scored.exit_code == 0
    assert figures(scored) == figures(report)
    assert scored.datasets[0].scores.miou > 0
    assert report_content(scored)["datasets"][0]["mean_confidence"] is None
    job_json = json.loads((tmp_path / "scored/job.json").read_text())
    assert job_json["checkpoint"] is None
    assert job_json["fingerprint"]["predictions"]["pictures"]["encoding"] == "indices"
    assert "model" not in job_json["fingerprint"]
    assert verify(str(tmp_path / "scored")).findings == []


def test_a_mask_table_is_scored_as_it_is_against_targets_beside_it(segmented, tmp_path):
    job, report = segmented
    table = {
        "format": "parquet",
        "images": str(job.output / "masks/dataset=pictures/*.parquet"),
        "columns": {"image": "mask", "key": "key"},
    }
    spec = evaluation(tmp_path / "scored", targets=job.root / "targets/{stem}.png", **table)

    scored = run(JobSpec.from_mapping(spec))
    again = run(JobSpec.from_mapping(spec))

    assert figures(scored) == figures(report)
    assert again.timings.images == {}
    rows = TinyJob(tmp_path, spec).rows()
    assert [row["target_uri"] for row in rows] == [
        f"file://{job.root}/targets/picture-{number:02d}.png" for number in range(12)
    ]


def test_masks_and_targets_in_a_tar_are_scored(segmented, tmp_path):
    job, report = segmented
    with tarfile.open(tmp_path / "masks.tar", "w") as tar:
        for path in sorted((job.root / "masks").iterdir()):
            tar.add(path, f"{path.stem}.mask.png")
            tar.add(job.root / "targets" / path.name, f"{path.stem}.target.png")
    members = {"image": "mask.png", "target": "target.png"}
    spec = evaluation(
        tmp_path / "scored",
        format="webdataset",
        images=str(tmp_path / "masks.tar"),
        members=members,
    )

    scored = run(JobSpec.from_mapping(spec))

    assert figures(scored) == figures(report)


@pytest.mark.usefixtures("without_ray")
def test_an_evaluation_is_resumed_and_another_ones_output_refused(tmp_path):
    for folder in ("masks", "targets"):
        (tmp_path / folder).mkdir()
        for number in range(12):
            ids = picture(number)[1]
            if folder == "masks":
                ids[4] = 200  # of no class: misses
            Image.fromarray(ids).save(tmp_path / folder / f"{number:02d}.png")
    spec = evaluation(
        tmp_path / "scored",
        images=str(tmp_path / "masks/*.png"),
        targets=tmp_path / "targets/{stem}.png",
    )
    first = run(JobSpec.from_mapping(spec))
    files = {p: p.read_bytes() for p in (tmp_path / "scored").glob("masks/*/*.parquet")}
    sorted(files)[1].unlink()

    second = run(JobSpec.from_mapping(spec))

    assert first.datasets[0].scores.pixel_accuracy == pytest.approx(1 - 1 / 46, abs=0.005)
    assert verify(str(tmp_path / "scored")).findings == []
    assert second.timings.images == {"pictures": 5}
    assert {path: path.read_bytes() for path in files} == files
    spec["datasets"][0]["predictions"] = {"reduce_zero_label": True}
    with pytest.raises(OutputError, match=r"reduce_zero_label: false there, true here"):
        run(JobSpec.from_mapping(spec))


def prepared(tmp_path, **dataset):
    """Return an evaluation as the stages take it."""
    changes = {"images": str(tmp_path / "*.png"), "targets": tmp_path / "{stem}.png", **dataset}
    return prepare_job(JobSpec.from_mapping(evaluation(f"{tmp_path}-output", **changes)), Storage())


def part_of(pairs):
    """Return pairs of encoded mask and target as one part."""
    images = [
        EncodedImage(n, str(n), [], f"{n}.png", None, "ok", None, mask, target)
        for n, (mask, target) in enumerate(pairs)
    ]
    return EncodedPart(Part("pictures", "shard", 0, len(images), "end"), images, 0.0)


def scored_rows(pairs, tmp_path, **dataset):
    """Score pairs of encoded mask and target; return the rows."""
    scorer = Scorer(prepared(tmp_path, **dataset), Storage(), threads=2)
    return scorer.make_rows(part_of(pairs), StageSeconds())


def encoded(array, file_format="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(buffer, format=file_format)
    return buffer.getvalue()


def cells(row):
    return {(cell["target"], cell["prediction"]): cell["pixels"] for cell in row.confusion}


def test_a_value_outside_the_classes_is_a_miss_and_no_error(tmp_path):
    mask = np.array([[0, 1, 4], [200, 255, 3]], np.uint8)
    target = np.array([[0, 1, 1], [2, 255, 2]], np.uint8)

    [row] = scored_rows([(encoded(mask), encoded(target))], tmp_path)

    assert (row.status, row.ignored_pixels) == ("ok", 1)
    assert cells(row) == {(0, 0): 1, (1, 1): 1, (1, -1): 1, (2, -1): 1, (2, 3): 1}
    assert row.class_pixels == [{"class": c, "pixels": 1} for c in (0, 1, 3)]
    np.testing.assert_array_equal(decode_mask(row.mask), [[0, 1, 255], [255, 255, 3]])
    assert row.confidence is None


def test_values_of_sixteen_bits_do_not_wrap_around(tmp_path):
    mask = np.array([[0, 256, 257, 65535]], np.uint16)

    [row] = scored_rows([(encoded(mask), encoded(np.zeros((1, 4), np.uint8)))], tmp_path)

    assert cells(row) == {(0, 0): 1, (0, -1): 3}


@pytest.mark.parametrize(
    ("predictions", "shown"),
    [
        ({}, lambda ids: ids),
        ({"reduce_zero_label": True}, lambda ids: ids + 1),
        ({"label_map": {7: 0, 8: 1, 24: 2, 26: 3}}, lambda ids: np.uint8([7, 8, 24, 26])[ids]),
        (
            {"encoding": "colours"},
            lambda ids: np.uint8([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]])[ids],
        ),
    ],
)
def test_masks_are_read_as_the_spec_says(tmp_path, predictions, shown):
    rng = np.random.default_rng(0)
    ids, target = rng.integers(0, 4, (2, 20, 30), dtype=np.uint8)

    [row] = scored_rows([(encoded(shown(ids)), encoded(target))], tmp_path, predictions=predictions)

    counts = confusion_matrix(ids, target, num_classes=4)
    assert cells(row) == {(t, p): counts[t, p] for t, p in np.argwhere(counts)}


@pytest.mark.parametrize(
    ("encoding", "value", "found"), [("published", 7, 0), ("indices", 7, 7), ("published", 0, -1)]
)
def test_masks_of_a_published_set_hold_class_ids_unless_said_otherwise(
    tmp_path, encoding, value, found
):
    """Cityscapes' own masks hold label ids: 7 is road, class 0."""
    mask, target = np.full((1, 2), value, np.uint8), np.full((1, 2), 7, np.uint8)

    [row] = scored_rows(
        [(encoded(mask), encoded(target))],
        tmp_path,
        classes="cityscapes",
        predictions={"encoding": encoding},
    )

    assert cells(row) == {(0, found): 2}


def test_a_mask_that_is_none_is_a_row_that_says_why_and_harms_no_other(tmp_path):
    good = encoded(np.zeros((4, 6), np.uint8))
    target = good
    pairs = [
        (encoded(np.zeros((4, 6, 3), np.uint8)), target),
        (encoded(np.zeros((4, 6), np.uint8), "JPEG"), target),
        (good[:-20], target),
        (b"", target),
        (good, encoded(np.zeros((6, 4), np.uint8))),
        (good, None),
        (good, target),
    ]

    rows = scored_rows(pairs, tmp_path)

    assert [row.status for row in rows] == [
        "unsupported",
        "unsupported",
        "undecodable",
        "undecodable",
        "bad_target",
        "missing_target",
        "ok",
    ]
    assert "the mask has pixels of mode RGB" in rows[0].error
    assert "`predictions: {encoding: colours}`" in rows[0].error
    assert rows[4].error == "target is 4x6 pixels, its prediction 6x4"
    assert [row.mask is None for row in rows] == [True] * 4 + [False] * 3
    assert cells(rows[6]) == {(0, 0): 24}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": None}, r"model: missing; .*'pictures' has no `predictions`"),
        ({"classes": None}, "`classes` are missing"),
        ({"predictions": {"label_map": {0: 9}}}, r"predictions\.label_map gives \[9\]"),
        (
            {"predictions": {"encoding": "published", "reduce_zero_label": True}},
            "are for masks that are indices",
        ),
    ],
)
def test_a_spec_that_cannot_be_scored_is_refused_with_the_reason(tmp_path, change, message):
    spec = evaluation(tmp_path, images="masks/*.png")
    spec["datasets"][0].update(change)

    with pytest.raises(SpecError, match=message):
        JobSpec.from_mapping(spec)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"model": {"checkpoint": "m.pth"}}, "leave out one of the two"),
        ({"inference": {"scales": [0.5]}}, "there is none without a model"),
    ],
)
def test_what_needs_a_model_does_not_go_with_predictions(tmp_path, section, message):
    spec = evaluation(tmp_path, images="masks/*.png") | section

    with pytest.raises(SpecError, match=message):
        JobSpec.from_mapping(spec)


@pytest.mark.usefixtures("without_ray")
def test_the_second_pass_scores_in_child_processes_and_gives_the_same_bytes(tmp_path):
    good = encoded(np.zeros((4, 6), np.uint8))
    table = part_of([(good, good), (b"", good), (good, None)]).to_table()
    job = prepared(tmp_path)

    isolated = IsolatingPartMaker(job, Storage(), threads=1, stop=LocalStopFlag())(table)

    assert isolated["file"] == Scorer(job, Storage(), threads=1)(table)["file"]
