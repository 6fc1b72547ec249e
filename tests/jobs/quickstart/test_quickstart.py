"""The quickstart: one command, an mIoU on scenes never trained on, tables, a summary, pictures."""

import json
import re
from pathlib import Path

import duckdb
import pytest
from PIL import Image

import command
from jobs.quickstart.scenes import CLASSES
from report_pages import check_figures, check_in_every_setting, opened

OUTPUTS = Path(__file__).resolve().parents[3] / "docs/outputs.md"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A quickstart that has run, its result, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("work")
    done = command.run("quickstart", folder / "quickstart")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_it_reaches_its_miou(finished):
    folder, done = finished

    [dataset] = json.loads((folder / "quickstart/results/summary.json").read_text())["datasets"]

    assert dataset["miou"] >= 0.85
    assert dataset["images"]["ok"] == 32
    assert {row["class_name"] for row in dataset["classes"] if row["target_pixels"]} == set(CLASSES)
    assert f"{dataset['miou']:.5f}" in done.stdout
    assert "Traceback" not in done.stderr


def test_it_leaves_a_picture_of_each_scene(finished):
    folder, done = finished

    pictures = sorted((folder / "quickstart/pictures").glob("*.png"))

    assert [path.stem for path in pictures] == [f"scene-{seed:06d}" for seed in range(32)]
    assert str(folder / "quickstart/pictures") in done.stdout
    with Image.open(pictures[0]) as picture:
        assert picture.width > 4 * 192


def test_its_report_opens_in_a_browser_and_says_what_the_summary_says(finished, browser):
    folder, done = finished
    report = folder / "quickstart/results/report.html"

    check_in_every_setting(browser, report)

    assert str(report) in done.stdout
    summary = json.loads((folder / "quickstart/results/summary.json").read_text())
    with opened(browser, report) as page:
        check_figures(page, summary)
        assert page.locator(".picture").count() == 24


def test_the_documented_query_gives_the_summarys_miou(finished, monkeypatch):
    folder, _ = finished
    [query] = re.findall(r"```sql.*?\n(.*?)```", OUTPUTS.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(folder)

    [(miou,)] = duckdb.sql(query).fetchall()

    summary = json.loads((folder / "quickstart/results/summary.json").read_text())
    assert miou == pytest.approx(summary["datasets"][0]["miou"], abs=1e-12)


def test_run_again_it_finds_everything_done_and_its_spec_is_an_ordinary_one(finished):
    folder, _ = finished

    again = command.run("quickstart", folder / "quickstart")
    spec = command.run("run", folder / "quickstart/spec.yaml", "--json")

    assert again.returncode == spec.returncode == 0, again.stderr + spec.stderr
    assert "32 images in 4 parts are committed already" in again.stderr
    assert json.loads(spec.stdout)["last_run"]["images"] == {}


def test_another_number_of_scenes_needs_another_folder(finished):
    folder, _ = finished

    refused = command.run("quickstart", folder / "quickstart", "--images", 40)

    assert refused.returncode == 2
    assert "holds a quickstart of 32 scenes, not 40; give another folder" in refused.stderr


def test_interrupted_and_started_again_it_takes_the_scenes_that_are_there(tmp_path):
    """Rewritten scenes would have another time of modification: rows would read `changed`."""
    folder = tmp_path / "quickstart"
    command.run("quickstart", folder, "--images", 10, ray=False)
    next(folder.glob("results/masks/*/*-000000.parquet")).unlink()

    again = command.run("quickstart", folder, "--images", 10, "--json", ray=False)

    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["datasets"][0]["statuses"] == {"ok": 10}
