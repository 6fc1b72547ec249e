"""The highlights of a dataset: the same whatever the order in which parts are folded."""

import hashlib
import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.report.thumbnails import distinct
from pipeline.scores.best_and_worst import SHOWN, Highlights
from pipeline.scores.worst_confusions import largest_error, worst_confusions

STATUSES = ["ok", "ok", "ok", "undecodable", "crashed"]


def parts(number, rows=40):
    """Return made-up parts: name, table, the rows' own mIoU, many of which are equal."""
    rng = np.random.default_rng(3)
    found = []
    for part in range(number):
        statuses = rng.choice(STATUSES, rows).tolist()
        ok = np.array([status == "ok" for status in statuses])
        mious = np.where(ok, rng.integers(0, 30, rows) / 30, np.nan)
        digests = [hashlib.sha256(f"{part}/{row}".encode()).hexdigest() for row in range(rows)]
        table = pa.table(
            {
                "index": pa.array(range(part * rows, (part + 1) * rows)),
                "status": statuses,
                "confidence": pa.array(
                    [float(v) if k else None for v, k in zip(rng.random(rows), ok, strict=True)],
                    pa.float32(),
                ),
                "image_sha256": digests,
            }
        )
        found.append((f"part-{part:03d}", table, mious))
    return found


def content(highlights):
    kinds = (highlights.worst, highlights.best, highlights.uncertain, highlights.certain)
    return (*kinds, highlights.typical(), sorted(highlights.failures.items()))


@pytest.mark.parametrize("seed", range(5))
def test_neither_order_nor_grouping_of_parts_changes_them(seed):
    folded = parts(40)
    one_by_one = Highlights()
    for name, table, mious in folded:
        one_by_one.add(name, table, mious)
    random.Random(seed).shuffle(folded)  # noqa: S311 - any order will do
    merged = Highlights()
    for group in (folded[:7], folded[7:30], folded[30:]):
        some = Highlights()
        for name, table, mious in group:
            some.add(name, table, mious)
        merged += some

    assert repr(content(merged)) == repr(content(one_by_one))  # NaN is not equal to itself


def test_they_are_the_extremes_and_those_around_the_median():
    highlights, everything = Highlights(), []
    for name, table, mious in parts(10):
        highlights.add(name, table, mious)
        everything += mious[~np.isnan(mious)].tolist()

    ordered = sorted(everything)
    assert [h.miou for h in highlights.worst] == ordered[:SHOWN]
    assert [h.miou for h in highlights.best] == ordered[::-1][:SHOWN]
    distances = sorted(abs(np.array(everything) - np.median(everything)))
    typical = [abs(h.miou - np.median(everything)) for h in highlights.typical()]
    assert typical == pytest.approx(distances[:SHOWN])
    assert set(highlights.failures) == {"undecodable", "crashed"}


def test_without_scores_confidence_decides():
    highlights = Highlights()
    [(name, table, mious)] = parts(1)
    highlights.add(name, table, np.full_like(mious, np.nan))

    assert highlights.worst == highlights.best == []
    assert len(highlights.typical()) == len(highlights.certain) == SHOWN
    assert highlights.certain[0].confidence > highlights.uncertain[0].confidence


def test_the_worst_confusions_come_by_their_share_of_the_class():
    counts = np.array([[90, 10, 0, 0], [0, 0, 0, 4], [500, 0, 1500, 0]])

    found = worst_confusions(counts, ["a", "b", "c"], most=3)

    assert [(each.target, each.prediction, each.pixels) for each in found] == [
        ("b", "no class", 4),
        ("c", "a", 500),
        ("a", "b", 10),
    ]
    assert [each.share for each in found] == [1.0, 0.25, 0.1]


def test_an_images_largest_error_is_by_pixels_of_all_that_are_labelled():
    cells = [
        {"target": 0, "prediction": 0, "pixels": 70},
        {"target": 0, "prediction": -1, "pixels": 20},
        {"target": 1, "prediction": 0, "pixels": 10},
    ]

    error = largest_error(cells, ["a", "b"])

    assert (error.target, error.prediction, error.pixels) == ("a", "no class", 20)
    assert error.share == 0.2
    assert largest_error(cells[:1], ["a", "b"]) is None


def test_colours_that_repeat_become_distinct_by_little():
    colours = [(0, 0, 0)] * 300 + [(255, 255, 255), (0, 0, 1)]

    found = distinct(colours)

    assert len(set(found)) == len(found) == 302
    assert found[0] == (0, 0, 0)
    assert found[300] == (255, 255, 255)
    assert all(max(map(abs, np.subtract(a, b))) < 64 for a, b in zip(found, colours, strict=True))
