"""Whole runs on a real Ray: what is in the tables, what a second run does, what faults become."""

import io
import json
import shutil

import numpy as np
import pyarrow.dataset
import pytest
from PIL import Image

from pipeline import plan, run
from pipeline.errors import OutputError
from pipeline.execution import ray_data
from pipeline.report.write_summary import report_content
from refinenet_core import confusion_matrix, scores
from tiny_job import CLASSES, TinyJob, decode_mask, picture, predict, save_own_checkpoint

pytestmark = pytest.mark.usefixtures("without_ray")


def test_each_image_is_one_row_with_the_predictors_mask_and_exact_counts(tiny_job, checkpoint):
    report = run(tiny_job.validated())

    rows = tiny_job.rows()
    assert report.exit_code == 0
    assert [row["key"] for row in rows] == [f"picture-{number:02d}" for number in range(12)]
    total = np.zeros((4, 5), dtype=np.int64)
    for number, row in enumerate(rows):
        image, target = picture(number)
        labels = decode_mask(row["mask"])
        np.testing.assert_array_equal(labels, predict(checkpoint, image, [0.75, 1.0]))
        counts = confusion_matrix(labels, target, num_classes=4)
        total += counts
        assert row["status"] == "ok"
        assert (row["height"], row["width"]) == labels.shape
        assert {c["class"]: c["pixels"] for c in row["class_pixels"]} == {
            int(c): int((labels == c).sum()) for c in np.unique(labels)
        }
        for cell in row["confusion"]:
            assert counts[cell["target"], cell["prediction"]] == cell["pixels"]
        assert sum(cell["pixels"] for cell in row["confusion"]) == counts.sum()
        assert row["ignored_pixels"] == (target == 255).sum() > 0
        assert 0.25 <= row["confidence"] <= 1
    [dataset] = report.datasets
    np.testing.assert_array_equal(dataset.counts.confusion, total)
    assert dataset.scores.miou == scores(total).miou


def test_a_long_run_goes_on_leg_after_leg(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_data, "_LEG_PARTS", 20)  # a test cannot make 25,000
    long = TinyJob.make(tmp_path, checkpoint, images=34)
    long.spec["part_images"] = 1  # three shards of up to 16

    report = run(long.validated())

    assert (report.exit_code, report.timings.images) == (0, {"pictures": 34})
    assert [row["key"] for row in long.rows()] == [f"picture-{number:02d}" for number in range(34)]


def test_masks_are_palette_pngs_of_256_entries(tiny_job):
    run(tiny_job.validated())

    image = Image.open(io.BytesIO(tiny_job.rows()[0]["mask"]))
    assert image.mode == "P"
    assert len(image.getpalette()) == 768


def test_files_on_disk_have_the_documented_names_and_open_as_one_dataset(tiny_job):
    run(tiny_job.validated())

    names = sorted(path.name for path in (tiny_job.output / "masks/dataset=pictures").iterdir())
    assert len(names) == 3
    slugs = {name[: len("images-000000-") + 16] for name in names}
    assert len(slugs) == 1
    [slug] = slugs
    assert slug.startswith("images-000000-")
    ends = ["-000000.parquet", "-000001.parquet", "-000002-end.parquet"]
    assert names == [slug + end for end in ends]
    table = pyarrow.dataset.dataset(tiny_job.output / "masks", partitioning="hive").to_table()
    assert table.num_rows == 12
    assert set(table["dataset"].to_pylist()) == {"pictures"}
    metadata = json.loads(table.schema.metadata[b"refinenet_batch"])
    assert metadata["fingerprint"]["scales"] == [0.75, 1.0]


def test_summary_json_is_strict_and_says_what_the_report_says(tiny_job):
    tiny_job.dataset["classes"] = ["ground", "stripes", "dots", "<script>"]

    report = run(tiny_job.validated())

    content = json.loads((tiny_job.output / "summary.json").read_text(), parse_constant=pytest.fail)
    assert content == json.loads(json.dumps(report_content(report)))
    [dataset] = content["datasets"]
    assert dataset["images"] == {
        "planned": 12,
        "committed": 12,
        "ok": 12,
        "failed": 0,
        "scored": 12,
    }
    assert dataset["rule"] == "union_present"
    assert content["last_run"]["images"] == {"pictures": 12}
    table = pyarrow.parquet.read_table(tiny_job.output / "summary.parquet")
    assert table["class_name"].to_pylist() == ["ground", "stripes", "dots", "<script>"]
    assert table["iou"].to_pylist() == [row["iou"] for row in dataset["classes"]]


def test_a_second_run_does_only_what_is_missing_and_ends_with_the_same_bytes(tiny_job):
    first = run(tiny_job.validated())
    files = {path: path.read_bytes() for path in tiny_job.output.glob("masks/*/*.parquet")}
    lost = sorted(files)[1]
    kept_times = {path: path.stat().st_mtime_ns for path in files if path != lost}
    lost.unlink()

    [before] = plan(tiny_job.validated())
    second = run(tiny_job.validated())

    assert (before.committed_images, before.committed_parts) == (7, 2)
    assert second.timings.images == {"pictures": 5}
    assert {path: path.read_bytes() for path in files} == files
    assert {path: path.stat().st_mtime_ns for path in kept_times} == kept_times
    assert report_content(second)["datasets"] == report_content(first)["datasets"]


def test_images_added_after_the_plan_was_frozen_wait(tiny_job):
    run(tiny_job.validated())
    shutil.copy(tiny_job.root / "images/picture-00.png", tiny_job.root / "images/another.png")

    report = run(tiny_job.validated())

    assert report.datasets[0].planned == 12
    assert report.timings.images == {}


def test_strange_files_are_rows_and_the_others_are_unharmed(tiny_job):
    run(tiny_job.validated())
    undisturbed = {row["key"]: row for row in tiny_job.rows()}
    shutil.rmtree(tiny_job.output)
    images, targets = tiny_job.root / "images", tiny_job.root / "targets"
    (images / "picture-01.png").write_bytes(b"not an image")
    (images / "picture-03.png").write_bytes((images / "picture-03.png").read_bytes()[:60])
    (images / "picture-04.png").write_bytes(b"")
    wide = np.linspace(0, 65535, 48 * 48).reshape(48, 48).astype(np.uint16)
    Image.fromarray(wide).save(images / "picture-05.png")
    Image.new("L", (7, 7)).save(targets / "picture-06.png")
    Image.fromarray(np.full((56, 40), 9, np.uint8)).save(targets / "picture-07.png")
    Image.new("RGB", (48, 48)).save(targets / "picture-08.png")

    report = run(tiny_job.validated())

    rows = {row["key"]: row for row in tiny_job.rows()}
    statuses = {key[-2:]: row["status"] for key, row in rows.items() if row["status"] != "ok"}
    assert statuses == {
        "01": "undecodable",
        "03": "undecodable",
        "04": "undecodable",
        "06": "bad_target",
        "07": "bad_target",
        "08": "bad_target",
    }
    assert rows["picture-05"]["flags"] == ["scaled_16bit"]
    assert "7x7" in rows["picture-06"]["error"]
    assert "[9]" in rows["picture-07"]["error"]
    assert "RGB" in rows["picture-08"]["error"]
    for number in (1, 3, 4):
        assert rows[f"picture-{number:02d}"]["mask"] is None
    for number in (6, 7, 8):
        assert rows[f"picture-{number:02d}"]["mask"] is not None
        assert rows[f"picture-{number:02d}"]["confusion"] is None
    for number in (0, 2, 9, 10, 11):
        assert rows[f"picture-{number:02d}"] == undisturbed[f"picture-{number:02d}"]
    [dataset] = report.datasets
    assert (dataset.ok, dataset.failed, dataset.counts.scored_images) == (6, 6, 6)
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("tolerated", "exit_code"), [(0, 1), (1, 0), (0.05, 1), (0.1, 0), (2.0, 0)]
)
def test_the_tolerance_is_a_count_or_a_fraction(tiny_job, tolerated, exit_code):
    (tiny_job.root / "images/picture-01.png").write_bytes(b"not an image")
    tiny_job.spec["tolerance"] = {"failed_images": tolerated}

    assert run(tiny_job.validated()).exit_code == exit_code


def test_an_object_changed_or_gone_since_the_plan_is_a_row_not_a_silent_read(tiny_job):
    run(tiny_job.validated())
    for part in tiny_job.output.glob("masks/*/*.parquet"):
        part.unlink()
    images, targets = tiny_job.root / "images", tiny_job.root / "targets"
    Image.new("RGB", (48, 48)).save(images / "picture-02.png")
    (images / "picture-03.png").unlink()
    (targets / "picture-04.png").unlink()
    Image.new("L", (48, 48)).save(targets / "picture-05.png")

    run(tiny_job.validated())

    rows = {row["key"][-2:]: row for row in tiny_job.rows()}
    assert {key: row["status"] for key, row in rows.items() if row["status"] != "ok"} == {
        "02": "changed",
        "03": "unreadable",
        "04": "missing_target",
        "05": "changed",
    }
    assert [rows[key]["mask"] is None for key in ("02", "03", "04", "05")] == [
        True,
        True,
        False,
        False,
    ]
    assert "picture-02.png has changed since it was planned" in rows["02"]["error"]
    assert "gone" in rows["03"]["error"]


def test_missing_targets_are_rows_if_the_spec_says_so(tiny_job):
    (tiny_job.root / "targets/picture-04.png").unlink()
    tiny_job.dataset["targets_missing"] = "row"

    report = run(tiny_job.validated())

    row = tiny_job.rows()[4]
    assert (row["status"], row["confusion"]) == ("missing_target", None)
    assert row["mask"] is not None
    assert report.datasets[0].counts.scored_images == 11


def test_a_dataset_without_targets_gets_class_shares_and_no_scores(tiny_job):
    del tiny_job.dataset["targets"]

    report = run(tiny_job.validated())

    dataset = report_content(report)["datasets"][0]
    assert report.exit_code == 0
    assert dataset["miou"] is dataset["confusion"] is None
    assert sum(row["mask_pixels"] for row in dataset["classes"]) == sum(
        row["height"] * row["width"] for row in tiny_job.rows()
    )
    assert 0 < dataset["mean_confidence"] < 1


def test_a_large_image_is_tiled_and_probabilities_are_stored_if_asked_for(tiny_job, checkpoint):
    image = np.random.default_rng(0).integers(0, 256, (600, 700, 3), dtype=np.uint8)
    Image.fromarray(image).save(tiny_job.root / "images/picture-00.png")
    del tiny_job.dataset["targets"]
    inference = {"scales": [1.0], "max_pixels_per_pass": 1 << 18, "probabilities": True}
    tiny_job.spec["inference"] = inference

    report = run(tiny_job.validated())

    large, small = tiny_job.rows()[:2]
    assert report.exit_code == 0
    assert large["flags"] == []
    assert (decode_mask(large["mask"]) == predict(checkpoint, image, [1.0])).mean() > 0.99
    for row in (large, small):
        shape = (4, -(-row["height"] // 4), -(-row["width"] // 4))
        probabilities = np.frombuffer(row["probabilities"], np.uint8).reshape(shape)
        np.testing.assert_allclose(probabilities.sum(axis=0, dtype=int), 255, atol=2)


def test_what_a_protocol_crops_away_is_in_no_count(tiny_job):
    tiny_job.spec["inference"] = {"scales": [1.0], "protocol": "fixed"}

    report = run(tiny_job.validated())

    assert report.exit_code == 0
    for number, row in enumerate(tiny_job.rows()):
        _, target = picture(number)
        height, width = target.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = target[top : top + side, left : left + side]
        counted = sum(cell["pixels"] for cell in row["confusion"])
        assert row["flags"] == (["cropped"] if height != width else [])
        assert counted == (square != 255).sum()
        assert row["ignored_pixels"] == target.size - counted
        assert sum(cell["pixels"] for cell in row["class_pixels"]) == side * side


def test_two_datasets_share_a_run_and_keep_their_own_rows(tiny_job):
    labels = {"label_map": {0: 0, 1: 1, 2: 2, 3: 255}}
    second = {**tiny_job.dataset, "name": "again", "classes": CLASSES[::-1], "labels": labels}
    tiny_job.spec["datasets"].append(second)

    report = run(tiny_job.validated())

    assert [dataset.planned for dataset in report.datasets] == [12, 12]
    first, other = (dataset.counts for dataset in report.datasets)
    assert first.confusion[3].sum() > 0 == other.confusion[3].sum()
    assert sorted(path.name for path in (tiny_job.output / "masks").iterdir()) == [
        "dataset=again",
        "dataset=pictures",
    ]


def test_keys_that_repeat_are_kept_and_flagged(tiny_job):
    shutil.copy(tiny_job.root / "images/picture-00.png", tiny_job.root / "images/picture-00.PNG")
    tiny_job.dataset["images"] = str(tiny_job.root / "images")

    run(tiny_job.validated())

    rows = tiny_job.rows()
    assert len(rows) == 13
    assert [row["flags"] for row in rows if row["key"] == "picture-00"] == [["duplicate_key"]] * 2
    assert sum(bool(row["flags"]) for row in rows) == 2


def test_a_limited_run_takes_the_first_images_into_an_output_of_its_own(tiny_job):
    report = run(tiny_job.validated().limited(3))

    assert report.datasets[0].planned == 3
    assert report.output == f"file://{tiny_job.output}-limit3"
    assert not tiny_job.output.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: job.spec.update(inference={"scales": [1.0]}), r"scales\[0\]: 0.75 there, 1"),
        (lambda job: job.dataset.update(ignore_index=77), "ignore_index: 255 there, 77 here"),
        (lambda job: job.spec.update(part_images=6), "part_images: 5 there, 6 here"),
    ],
)
def test_an_output_with_another_jobs_results_is_refused_with_what_differs(
    tiny_job, change, message
):
    run(tiny_job.validated())
    before = {path: path.stat().st_mtime_ns for path in tiny_job.output.rglob("*")}
    change(tiny_job)

    with pytest.raises(OutputError, match=message):
        run(tiny_job.validated())

    assert {path: path.stat().st_mtime_ns for path in tiny_job.output.rglob("*")} == before


def test_the_order_of_work_does_not_change_a_byte(tiny_job):
    run(tiny_job.validated())
    first = {path.name: path.read_bytes() for path in tiny_job.output.glob("masks/*/*")}
    tiny_job.spec["output"] = str(tiny_job.root / "again")
    tiny_job.spec["resources"]["actors"] = {"min": 2, "max": 2}

    run(tiny_job.validated())

    second = {path.name: path.read_bytes() for path in tiny_job.output.glob("masks/*/*")}
    assert second == first


def test_a_checkpoint_of_our_own_says_all_that_the_spec_leaves_out(tiny_job):
    run(tiny_job.validated())
    expected = [row["mask"] for row in tiny_job.rows()]
    path = save_own_checkpoint(tiny_job.root / "ours.safetensors")
    tiny_job.spec["model"] = {"checkpoint": str(path)}
    tiny_job.spec["output"] = str(tiny_job.root / "by-checkpoint")
    del tiny_job.dataset["classes"]

    report = run(tiny_job.validated())

    assert report.datasets[0].labels.classes == tuple(CLASSES)
    masks = [Image.open(io.BytesIO(row["mask"])) for row in tiny_job.rows()]
    for mask, other in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(mask), decode_mask(other))
    assert masks[0].getpalette()[:6] == [0, 0, 0, 1, 1, 1]


def test_model_and_class_count_are_inferred_from_a_published_file(tiny_job):
    tiny_job.spec["model"] = {"checkpoint": tiny_job.spec["model"]["checkpoint"]}

    report = run(tiny_job.validated())

    assert report.exit_code == 0
    job = json.loads((tiny_job.output / "job.json").read_text())
    assert job["spec"]["model"]["name"] == "refinenet_lw_mobilenet_v2"
    assert job["fingerprint"]["num_classes"] == 4
