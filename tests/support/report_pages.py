"""A report's page in a real browser: that it is whole, and what it says."""

import json
import shutil
from contextlib import contextmanager

import pytest

SETTINGS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def running_browser():
    """Run a headless Chromium; skip where there is none."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, *, width=1400, scheme="light"):
    """Open a page; yield it, and fail if it complained or asked for anything beyond itself."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    heard, asked = [], []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    address = path.as_uri()
    page.goto(address)
    yield page
    context.close()
    assert heard == []
    assert [url for url in asked if not url.startswith("data:")] == [address]


def check_in_every_setting(browser, path):
    """Open a page wide and narrow, light and dark; nothing may stick out of it."""
    papers = set()
    for width, scheme in SETTINGS:
        with opened(browser, path, width=width, scheme=scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2  # a light one and a dark one


def figures(page, section):
    """Return what a section's cards hold for programs, by field."""
    fields = page.locator(f"{section} .cards [data-field]")
    return {
        field.get_attribute("data-field"): float(field.locator("data").get_attribute("value"))
        for field in fields.all()
    }


def check_figures(page, summary):
    """Compare a page's figures with those of a `summary.json`."""
    entries = {entry["name"]: entry for entry in summary["datasets"] + summary["combined"]}
    names = page.locator("section[data-dataset]").evaluate_all(
        "all => all.map(each => each.dataset.dataset)"
    )
    assert sorted(names) == sorted(entries)
    for name, entry in entries.items():
        section = f"section[data-dataset={json.dumps(name)}]"
        expected = {
            "miou": entry["miou"],
            "miou_low": (entry["miou_interval"] or {}).get("low"),
            "miou_high": (entry["miou_interval"] or {}).get("high"),
            "pixel_accuracy": entry["pixel_accuracy"],
            "mean_accuracy": entry["mean_accuracy"],
            "frequency_weighted_iou": entry["frequency_weighted_iou"],
            "mean_boundary_iou": entry["mean_boundary_iou"],
            "mean_confidence": entry["mean_confidence"],
            "ok": entry["images"]["ok"],
            "failed": entry["images"]["failed"],
        }
        assert figures(page, section) == {k: v for k, v in expected.items() if v is not None}
        assert _table(page, f"{section} tr[data-class]", "data-class") == {
            str(row["class"]): {
                k: v for k, v in row.items() if k not in ("class", "class_name") and _shown(row, k)
            }
            for row in entry["classes"]
        }
        assert _table(page, f"{section} tr[data-rule]", "data-rule") == {
            rule: {"miou": score["miou"]} if score["miou"] is not None else {}
            for rule, score in (entry["rules"] or {}).items()
        }
        statuses = page.locator(f"{section} details[data-status]")
        assert {
            each.get_attribute("data-status"): int(
                each.locator("[data-field=images] data").get_attribute("value")
            )
            for each in statuses.all()
        } == {status: n for status, n in entry["statuses"].items() if status != "ok"}


def _shown(row, name):
    return row[name] is not None and name != "predicted_pixels"


def _table(page, rows, key):
    return page.locator(rows).evaluate_all(
        """(rows, key) => Object.fromEntries(rows.map((row) => [
            row.getAttribute(key),
            Object.fromEntries([...row.querySelectorAll("[data-field] data")].map(
                (data) => [data.parentElement.dataset.field, Number(data.value)])),
        ]))""",
        key,
    )
