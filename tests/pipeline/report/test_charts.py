"""The charts of a report: drawn from whatever figures, as one element that a page can hold."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from pipeline.report.charts import (
    class_bars,
    confusion_map,
    difference_bars,
    miou_histogram,
    share_bars,
    stage_bars,
)

NAMES = ["sky", "<b>road</b>", "$car$", 'a "tree"', "木"]
COLOURS = [(0, 0, 0), (255, 255, 255), (1, 2, 3), (9, 9, 9), (9, 9, 9)]
NAN = float("nan")


def texts(chart):
    """Return the texts of a chart, which must be well-formed."""
    root = ET.fromstring(chart)  # noqa: S314 - our own
    return [element.text for element in root.iter() if element.tag.endswith("text")]


def test_classes_stand_by_their_iou_and_undefined_ones_are_left_out():
    [chart] = class_bars(NAMES, np.array([0.5, NAN, 0.9, 0.0, 0.25]), COLOURS)

    shown = texts(chart)
    assert [name for name in shown if name in NAMES] == ["$car$", "sky", "木", 'a "tree"']
    assert [text for text in shown if text.endswith("%")] == ["90.0%", "50.0%", "25.0%", "0.0%"]


def test_many_classes_take_several_charts():
    charts = class_bars(["class"] * 255, np.linspace(0, 1, 255), [(1, 1, 1)] * 255)

    assert sum(texts(chart).count("class") for chart in charts) == 255
    assert len(charts) == 7


@pytest.mark.filterwarnings("error")
def test_nothing_defined_leaves_no_bars():
    undefined = np.full(5, NAN)

    assert class_bars(NAMES, undefined, COLOURS) == []
    assert share_bars(NAMES, [0.0] * 5, COLOURS) == []
    assert texts(difference_bars(NAMES, undefined, undefined, undefined)) is not None
    assert set(NAMES) <= set(texts(confusion_map(np.zeros((5, 6), np.int64), NAMES)))


def test_the_map_has_a_column_for_no_class_only_where_it_is_needed():
    inside = np.eye(5, 6, dtype=np.int64) * 10
    outside = inside.copy()
    outside[1, 5] = 10

    assert "no class" not in texts(confusion_map(inside, NAMES))
    shown = texts(confusion_map(outside, NAMES))
    assert "no class" in shown
    assert shown.count("100") == 4
    assert shown.count("50") == 2


def test_long_names_are_shortened():
    shown = texts(class_bars(["x" * 80], np.array([1.0]), [(0, 0, 0)])[0])

    assert f"{'x' * 17}…" in shown


def test_differences_have_their_signs():
    values = np.array([0.02, -0.01, NAN, 0.0, 0.001])

    shown = texts(difference_bars(NAMES, values, values - 0.01, values + 0.01))

    assert [name for name in shown if name in NAMES] == ["sky", "木", 'a "tree"', "<b>road</b>"]


def test_stages_and_images_are_told_in_figures():
    assert "30.0 s, 75%" in texts(stage_bars({"predict": 30.0, "read": 10.0}))
    assert " median 61.8%" in texts(miou_histogram([0.0, 0.5, 1.0], [3, 4], 0.618))


def test_a_page_may_colour_them():
    """No colour of Matplotlib's own may be left, or a chart would not be seen on a dark page."""
    [chart] = class_bars(NAMES[:1], np.array([0.5]), [(171, 205, 239)])

    assert "#abcdef" in chart
    assert "#000000" not in chart
    assert "#ffffff" not in chart
    assert "var(--ink)" in chart


def test_the_same_figures_give_the_same_bytes():
    counts = np.arange(30).reshape(5, 6)

    assert confusion_map(counts, NAMES) == confusion_map(counts, NAMES)
