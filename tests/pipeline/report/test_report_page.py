"""The page of a run: right, whole without a network, bounded, and at ease with odious data."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import JobSpec, run
from pipeline.errors import OutputError
from pipeline.report.write_report import remake_report
from report_pages import check_figures, check_in_every_setting, figures, opened
from tars import make_tar
from tiny_job import TinyJob

pytestmark = pytest.mark.usefixtures("without_ray")

SCRIPT = "<script>alert(1)</script>"
CLASSES = ["<b>ground</b>", "$stripes$", "dots & co", 'brick"s']


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run: a folder with a broken image, and a tar without targets, odious names."""
    job = TinyJob.make(tmp_path_factory.mktemp("reported"), checkpoint)
    job.dataset["classes"] = CLASSES
    pictures = [path.read_bytes() for path in sorted((job.root / "images").iterdir())]
    (job.root / "images/picture-01.png").write_bytes(b"not an image")
    (job.root / "images/picture-02.png").write_bytes(pictures[2][:200])
    names = [f"{SCRIPT}.png", "{{ 7 * 7 }}.png", "'\"&amp;.png"]
    members = list(zip(names, pictures[3:6], strict=True))
    (job.root / "shard.tar").write_bytes(make_tar(members))
    tar = {"name": "tar", "format": "webdataset", "images": str(job.root / "shard.tar")}
    job.spec["datasets"].append({**tar, "classes": CLASSES})
    job.spec["tolerance"] = {"failed_images": 2}
    report = run(JobSpec.from_mapping(job.spec))
    assert report.exit_code == 0
    return job


@pytest.fixture
def job(finished, tmp_path):
    """A copy of the job's output that a test may change; its spec names the original's inputs."""
    shutil.copytree(finished.output, tmp_path / "copy")
    return TinyJob(finished.root, {**finished.spec, "output": str(tmp_path / "copy")})


def page_of(job):
    return (job.output / "report.html").read_text()


def summary_of(job):
    return json.loads((job.output / "summary.json").read_text())


def test_it_is_whole_by_itself_in_every_setting(finished, browser):
    check_in_every_setting(browser, finished.output / "report.html")


def test_its_figures_are_those_of_the_summary(finished, browser):
    summary = summary_of(finished)

    with opened(browser, finished.output / "report.html") as page:
        check_figures(page, summary)
        ran = figures(page, "#run")

    last = summary["last_run"]
    assert ran["images"] == sum(last["images"].values())
    assert ran["images_per_s"] == last["images_per_s"]


def test_names_of_images_and_classes_are_text(finished, browser):
    """`opened` fails if a dialog opens: no name may become a script."""
    with opened(browser, finished.output / "report.html") as page:
        text = page.inner_text("body")
        scripts = page.locator("script").count()

    assert SCRIPT in text
    assert "{{ 7 * 7 }}" in text
    assert all(name in text for name in CLASSES)
    assert scripts == 1


def test_its_charts_name_every_class_that_scores(finished, browser):
    with opened(browser, finished.output / "report.html") as page:
        bars, confusion = (
            page.locator(f"#dataset-0 svg[aria-label^='{title}']").text_content()
            for title in ("IoU of each class", "Confusion matrix")
        )

    scored = [row for row in summary_of(finished)["datasets"][0]["classes"] if row["iou"]]
    assert scored
    for row in scored:
        assert row["class_name"] in bars
        assert f"{row['iou']:.1%}" in bars
    assert all(name in confusion for name in CLASSES)


def test_the_worst_confusions_are_told_in_words(finished, browser):
    counts = np.array(summary_of(finished)["datasets"][0]["confusion"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    shares[np.arange(4), np.arange(4)] = 0
    target, prediction = np.unravel_index(shares.argmax(), shares.shape)

    with opened(browser, finished.output / "report.html") as page:
        first = page.locator("#dataset-0 .confusions li").first.inner_text()

    words = f"of {CLASSES[target]} is taken for {[*CLASSES, 'no class'][prediction]}"
    assert words in first
    assert f"{shares.max():.2%}" in first
    assert f"{counts[target, prediction]:,} pixels" in first


def test_the_gallery_is_sorted_and_shows_image_target_and_prediction(finished, browser):
    rows = [row for row in finished_rows(finished, "pictures") if row["confusion"] is not None]

    with opened(browser, finished.output / "report.html") as page:
        titles = page.locator("#dataset-0 .gallery h4").all_inner_texts()
        worst = page.locator("#dataset-0 .gallery h4:has-text('Worst') + .picture header")
        panels = page.locator("#dataset-0 .picture").first.locator(".panel")
        kinds = panels.evaluate_all("all => all.map(each => each.className)")
        first = worst.first.inner_text()

    assert [title.split()[0] for title in titles] == ["Worst", "Typical", "Best", "Most"]
    assert kinds == [
        f"panel {kind}" for kind in ("image", "target", "prediction", "overlay", "errors")
    ]
    mious = {row["key"]: own_miou(row) for row in rows}
    lowest = min(mious, key=mious.get)
    assert lowest in first
    assert f"mIoU {mious[lowest]:.2%}" in first


def test_pictures_hold_the_masks_pixels(finished):
    """The images are smaller than a thumbnail, so that theirs are shown pixel by pixel."""
    rows = {row["key"]: row for row in finished_rows(finished, "pictures") if row["mask"]}
    colours = np.array(finished.validated().datasets[0].label_set().colours)

    pictures = pictures_in(page_of(finished))

    shown = [key for key in pictures if key in rows]
    assert len(shown) >= 6
    for key in shown:
        labels = np.asarray(Image.open(io.BytesIO(rows[key]["mask"])))
        drawn = np.asarray(pictures[key]["prediction"].convert("RGBA"))
        np.testing.assert_array_equal(drawn[..., :3], colours[labels])
        assert (drawn[..., 3] == 255).all()
        target = np.asarray(Image.open(rows[key]["target_uri"].removeprefix("file://")))
        seen = np.asarray(pictures[key]["target"].convert("RGBA"))
        np.testing.assert_array_equal(seen[..., 3] == 255, target != 255)
        np.testing.assert_array_equal(seen[target != 255][:, :3], colours[target[target != 255]])
        wrong = np.asarray(pictures[key]["errors"].convert("RGBA"))[..., 0] == 222
        np.testing.assert_array_equal(wrong, (target != 255) & (labels != target))


def test_the_legend_switches_classes_off_and_on(finished, browser):
    path = finished.output / "report.html"
    with opened(browser, path) as page:
        gallery = page.locator("#dataset-0 .gallery")
        before = shown_prediction(page)
        rgb = before[10, 10, :3]
        colour = int.from_bytes(rgb.tobytes())
        gallery.locator(f".legend label:has(input[value='{colour}'])").click()
        page.wait_for_selector(f"#dataset-0 .gallery[data-hidden='{colour}']")
        after = shown_prediction(page)
        gallery.locator("button[value=none]").click()
        page.wait_for_selector("#dataset-0 .gallery[data-hidden*=' ']")
        nothing = shown_prediction(page)
        gallery.locator("button[value=all]").click()
        page.wait_for_selector("#dataset-0 .gallery[data-hidden='']")
        again = shown_prediction(page)

    of_class = (before[..., :3] == rgb).all(axis=-1)
    assert not of_class.all()
    np.testing.assert_array_equal(after[..., 3] == 0, of_class)
    np.testing.assert_array_equal(after[~of_class], before[~of_class])
    assert (nothing[..., 3] == 0).all()
    np.testing.assert_array_equal(again, before)


def test_failed_images_stand_under_their_status_with_the_reason(finished, browser):
    with opened(browser, finished.output / "report.html") as page:
        failed = page.locator("#dataset-0 details[data-status=undecodable]")
        text = failed.inner_text()

    rows = {row["key"]: row for row in finished_rows(finished, "pictures")}
    for key in ("picture-01", "picture-02"):
        assert key in text
        assert rows[key]["error"][:60] in text


def test_without_targets_it_shows_shares_and_confidence(finished, browser):
    with opened(browser, finished.output / "report.html") as page:
        section = page.locator("section[data-dataset=tar]")
        text = section.inner_text()
        titles = section.locator("h4").all_inner_texts()

    assert "Classes in the masks" in text
    assert "Confusion" not in text
    assert [title.split()[0] for title in titles] == ["Most", "Typical", "Surest"]


def test_what_ran_is_there(finished, browser):
    content = json.loads((finished.output / "job.json").read_text())

    with opened(browser, finished.output / "report.html") as page:
        text = page.locator("#run").inner_text()
        spec = page.locator("#run pre").text_content()

    assert content["checkpoint"]["sha256"] in text
    assert content["versions"]["torch"] in text
    assert "part_images: 5" in spec


def test_it_is_made_again_from_the_tables_alone(finished, job):
    before, summary = page_of(finished), summary_of(finished)
    for name in ("report.html", "summary.parquet", "confusion-pictures.csv"):
        (job.output / name).unlink()

    report = remake_report(str(job.output))

    assert report.exit_code == 0
    assert summary_of(job) == {**summary, "output": job.output.as_uri()}
    assert page_of(job) == before.replace(f"{finished.output}</p>", f"{job.output}</p>")
    for name in ("summary.parquet", "confusion-pictures.csv"):
        assert (job.output / name).read_bytes() == (finished.output / name).read_bytes()


def test_without_a_summary_only_the_times_are_lost(job):
    summary = summary_of(job)
    (job.output / "summary.json").unlink()

    remake_report(str(job.output))

    again = summary_of(job)
    assert again["last_run"]["images"] == {}
    assert again["datasets"] == summary["datasets"]


def test_images_and_targets_that_are_gone_leave_their_masks_and_a_word(finished, job):
    image, target = (
        finished.root / "images/picture-03.png",
        finished.root / "targets/picture-04.png",
    )
    kept = {path: path.read_bytes() for path in (image, target)}
    try:
        for path in kept:
            path.unlink()
        remake_report(str(job.output))
    finally:
        for path, data in kept.items():
            path.write_bytes(data)

    pictures, before = pictures_in(page_of(job)), pictures_in(page_of(finished))
    assert before["picture-03"].keys() == {"image", "prediction", "target", "errors"}
    assert pictures["picture-03"].keys() == {"prediction"}
    assert pictures["picture-04"].keys() == {"image", "prediction"}
    assert "the image is gone or has changed since" in page_of(job)
    assert "the target is gone or has changed since" in page_of(job)


def test_a_damaged_part_file_is_named(job):
    part = next(job.output.glob("masks/dataset=pictures/*.parquet"))
    part.write_bytes(part.read_bytes()[:500])

    with pytest.raises(OutputError, match=re.escape(part.name)) as caught:
        remake_report(str(job.output))

    assert "refinenet-batch verify" in str(caught.value)


def finished_rows(job, dataset):
    files = sorted(job.output.glob(f"masks/dataset={dataset}/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def own_miou(row):
    counts = np.zeros((4, 5))
    for cell in row["confusion"]:
        counts[cell["target"], cell["prediction"]] += cell["pixels"]
    hits = np.diagonal(counts)
    union = counts.sum(axis=1) + counts[:, :4].sum(axis=0) - hits
    return (hits[union > 0] / union[union > 0]).mean()


def pictures_in(page):
    """Return the pictures of a page by key and layer."""
    found = {}
    for style, key in re.findall(
        r'<article class="picture" style="([^"]*)">\s*<header><b>([^<]*)</b>', page
    ):
        layers = re.findall(r"--(\w+):url\('data:[^,]*,([^']*)'\)", style)
        found[key] = {name: Image.open(io.BytesIO(base64.b64decode(data))) for name, data in layers}
    return found


def shown_prediction(page):
    """Return the RGBA pixels of the first picture's prediction, as the browser has them."""
    url = page.locator("#dataset-0 .picture").first.evaluate(
        "each => each.style.getPropertyValue('--prediction')"
    )
    data = re.search(r"base64,([^\"')]*)", url)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
