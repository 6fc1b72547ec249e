"""The real job: CamVid and a trained checkpoint in a real object store, from end to end."""

import json

import pytest
import yaml

import command
from camvid import CHECKPOINT, IMAGES, MIOU, PIXEL_ACCURACY, TARGETS, model
from report_pages import check_figures, check_in_every_setting, opened

pytestmark = pytest.mark.s3

# Of the first 20 images, by the same rule written out image by image in NCHW float32.
TWENTY_MIOU, TWENTY_PIXEL_ACCURACY = 0.60620, 0.89748
FIVE_SCALES = [0.4, 0.6, 0.8, 1.0, 1.2]


@pytest.fixture(scope="module")
def bucket(shared, object_store):
    """CamVid `test` and the checkpoint in the bucket `shards`."""
    images = shared / IMAGES
    names = sorted(path.name for path in images.iterdir())
    object_store.upload(images, "shards/camvid/test", names)
    object_store.upload(shared / TARGETS, "shards/camvid/testannot", names)
    object_store.upload(shared / "data/weights", "shards/models", [CHECKPOINT])
    return object_store


def write_spec(folder, *, name, scales, **changes):
    spec = {
        "name": name,
        "model": model("s3://shards/models"),
        "inference": {"scales": scales},
        "datasets": [
            {
                "name": "camvid-test",
                "format": "folder",
                "images": "s3://shards/camvid/test/*.png",
                "targets": "s3://shards/camvid/testannot/{stem}.png",
                "classes": "camvid",
                "ignore_index": 11,
            }
        ],
        "output": f"s3://results/{name}",
        "part_images": 8,
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def run_job(spec, bucket, *arguments):
    done = command.run(
        "run", spec, "--json", *arguments, environment=bucket.environment, timeout_s=1800
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def twenty(bucket, tmp_path_factory):
    """The summary of a run over the first 20 images."""
    spec = write_spec(tmp_path_factory.mktemp("twenty"), name="camvid-twenty", scales=[1.0])
    return run_job(spec, bucket, "--limit", 20)


def test_twenty_images_give_what_the_published_code_gives(twenty):
    [dataset] = twenty["datasets"]

    assert dataset["images"] == {
        "planned": 20,
        "committed": 20,
        "ok": 20,
        "failed": 0,
        "scored": 20,
    }
    assert dataset["miou"] == pytest.approx(TWENTY_MIOU, abs=0.0005)
    assert dataset["pixel_accuracy"] == pytest.approx(TWENTY_PIXEL_ACCURACY, abs=0.0005)
    pixels = 20 * 480 * 360
    counted = sum(map(sum, dataset["confusion"]))
    assert dataset["ignored_pixels"] == 229_855 == pixels - counted
    [absent] = [row for row in dataset["classes"] if row["iou"] is None or row["iou"] == 0]
    assert absent["class_name"] == "fence"


def test_their_report_opens_in_a_browser_and_says_what_the_summary_says(
    tmp_path, bucket, twenty, browser
):
    path = tmp_path / "report.html"
    report = bucket.filesystem().cat_file("results/camvid-twenty-limit20/report.html")
    path.write_bytes(report)

    check_in_every_setting(browser, path)

    with opened(browser, path) as page:
        check_figures(page, twenty)
        panels = page.locator(".picture").first.locator(".panel").count()
    assert panels == 5  # image, target, prediction, overlay, errors: all read again from the bucket


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_set_gives_the_published_codes_figures_and_five_scales_do_better(
    tmp_path, bucket
):
    [single], [five] = (
        run_job(write_spec(tmp_path, name=name, scales=scales), bucket)["datasets"]
        for name, scales in (("camvid-single", [1.0]), ("camvid-five", FIVE_SCALES))
    )

    assert single["miou"] == pytest.approx(MIOU, abs=0.0005)
    assert single["pixel_accuracy"] == pytest.approx(PIXEL_ACCURACY, abs=0.0005)
    assert five["images"]["ok"] == 233
    assert five["miou"] > single["miou"] + 0.01
