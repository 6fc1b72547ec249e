"""Fingerprints: they change with what decides a job's results, and with nothing else."""

import json

import pytest

from pipeline import JobSpec
from pipeline.spec.fingerprint import (
    common_fingerprint,
    differences,
    digest_of,
    fusing_fingerprint,
    scoring_fingerprint,
    segmenting_fingerprint,
)


def spec(dataset=None, model=None, **changes):
    content = {
        "name": "j",
        "model": {"name": "m", "num_classes": 11, "checkpoint": "/w.pth", **(model or {})},
        "datasets": [{"name": "d", "images": "/x/*.png", "classes": "camvid", **(dataset or {})}],
        "output": "/o",
    }
    return JobSpec.from_mapping({**content, **changes})


def fingerprint(of):
    return segmenting_fingerprint(of, "0" * 64, "float32") | common_fingerprint(of)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"inference": {"scales": [0.5, 1.0]}}, ["scales[0]", "scales[1]"]),
        ({"inference": {"flip": True}}, ["flip"]),
        ({"model": {"poolings": 2}}, ["poolings"]),
        ({"dataset": {"images": "/y/*.png"}}, ["datasets[0].images"]),
        ({"dataset": {"ignore_index": 200}}, ["datasets[0].ignore_index"]),
        ({"dataset": {"decode": {"max_pixels": 9}}}, ["datasets[0].decode.max_pixels"]),
        ({"part_images": 7}, ["part_images"]),
        ({"metrics": {"boundary_iou": True}}, ["boundary_iou"]),
    ],
)
def test_what_decides_the_results_is_found_to_differ_at_its_place(changes, places):
    found = differences(fingerprint(spec()), fingerprint(spec(**changes)))

    assert [difference.partition(":")[0] for difference in found] == places


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"output": "/another"},
        {"resources": {"threads_per_actor": 3}},
        {"tolerance": {"failed_images": 3}},
        {"metrics": {"resamples": 500}},
        {"dataset": {"decode": {"timeout_s": 1}}},
    ],
)
def test_what_decides_no_result_leaves_the_fingerprint_as_it_is(changes):
    assert fingerprint(spec(**changes)) == fingerprint(spec())


def test_a_difference_is_told_with_both_values():
    there, here = {"a": {"b": [1, "x"]}, "c": None}, {"a": {"b": [1]}, "c": True}

    assert differences(there, here) == [
        'a.b[1]: "x" there, null here',
        "c: null there, true here",
    ]


def test_a_digest_does_not_depend_on_the_order_of_the_fields():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1, "b": 2}) != digest_of({"a": 2, "b": 1})


def test_scored_and_fused_results_are_known_by_what_they_are_made_of():
    masks = JobSpec.from_mapping(
        {
            "name": "j",
            "datasets": [
                {
                    "name": "d",
                    "images": "/x/*.png",
                    "classes": "camvid",
                    "predictions": {"reduce_zero_label": True},
                }
            ],
            "output": "/o",
        }
    )

    scored = scoring_fingerprint(masks)
    fused = fusing_fingerprint([("a" * 64, 1.0), ("b" * 64, 0.5)])

    assert scored["predictions"]["d"]["reduce_zero_label"] is True
    assert [each["weight"] for each in fused["fused"]] == [1.0, 0.5]
    assert json.loads(json.dumps({**scored, **fused}, allow_nan=False)) == {**scored, **fused}
