"""The highlights of a dataset: the same whatever the order in which parts are folded."""

import hashlib
import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.scores.best_and_worst import SHOWN, Highlights

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
