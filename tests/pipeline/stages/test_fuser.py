"""Fusing: the probabilities that several runs have stored, averaged into one mask table."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fused_runs import fusion, run_to_be_fused
from pipeline import JobSpec, run, verify
from pipeline.errors import OutputError, SpecError
from tiny_job import TinyJob, decode_mask

pytestmark = pytest.mark.usefixtures("without_ray")


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job's runs at one scale each, and at both; their report and job by what they are."""
    return run_to_be_fused(tmp_path_factory.mktemp("runs"), checkpoint)


def fused(runs, output, **changes):
    """Run a fusion; return its report and rows."""
    spec = fusion(runs, output, **changes)
    report = run(JobSpec.from_mapping(spec))
    return report, TinyJob(output, spec).rows()


def stored(row):
    """Return the probabilities that a row holds, shape (C, h, w), 0 to 1."""
    shape = (4, -(-row["height"] // 4), -(-row["width"] // 4))
    return np.frombuffer(row["probabilities"], np.uint8).reshape(shape) / 255


def test_runs_at_one_scale_each_give_what_a_run_at_both_gives(runs, tmp_path):
    report, rows = fused(runs, tmp_path / "fused")

    both, both_report = runs["both"]
    assert report.exit_code == both_report.exit_code == 1  # for the image that is none
    singles = [runs[name][0].rows() for name in ("0.75", "1.0")]
    agreements = []
    for row, other, *alone in zip(rows, both.rows(), *singles, strict=True):
        places = ("shard", "index", "key", "uri", "target_uri", "image_sha256", "flags")
        assert [row[name] for name in places] == [other[name] for name in places]
        assert (row["status"], row["error"]) == (other["status"], other["error"])
        if row["mask"] is None:
            continue
        expected = decode_mask(other["mask"])
        masks = [decode_mask(each["mask"]) for each in (row, *alone)]
        agreements.append([(mask == expected).mean() for mask in masks])
        assert row["confidence"] == pytest.approx(other["confidence"], abs=0.03)
        assert row["ignored_pixels"] == other["ignored_pixels"]
    # Of noise, where edges are everywhere; for photographs see tests/runs/test_camvid_fusion.py.
    of_fusion, *of_singles = np.mean(agreements, axis=0)
    assert of_fusion > 0.9 > max(of_singles) + 0.03
    assert report.datasets[0].counts.scored_images == 11
    assert verify(str(tmp_path / "fused")).findings == []


def test_labels_are_those_of_the_weighted_mean(runs, tmp_path):
    """With next to all weight on the run at scale 1 its stored map decides, enlarged as it was."""
    outputs = [runs[name][0].spec["output"] for name in ("0.75", "1.0")]
    weighted = [{"output": outputs[0], "weight": 1e-4}, {"output": outputs[1], "weight": 1e4}]

    _, rows = fused(runs, tmp_path / "fused", fuse=weighted)

    for row, source in zip(rows, runs["1.0"][0].rows(), strict=True):
        if row["mask"] is None:
            continue
        size = (row["height"], row["width"])
        probabilities = torch.nn.functional.interpolate(
            torch.from_numpy(stored(source))[None], size=size, mode="bilinear"
        )[0].numpy()
        ordered = np.sort(probabilities, axis=0)
        clear = ordered[-1] - ordered[-2] > 1e-4
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(
            decode_mask(row["mask"])[clear], probabilities.argmax(axis=0)[clear]
        )


def test_a_fusion_is_resumed_with_the_same_bytes_and_known_by_its_outputs(runs, tmp_path):
    output = tmp_path / "fused"
    fused(runs, output)
    files = {path: path.read_bytes() for path in output.glob("masks/*/*.parquet")}
    sorted(files)[1].unlink()

    report, _ = fused(runs, output)

    assert report.timings.images == {"pictures": 5}
    assert {path: path.read_bytes() for path in files} == files
    fingerprint = json.loads((output / "job.json").read_text())["fingerprint"]
    assert [each["weight"] for each in fingerprint["fused"]] == [1.0, 1.0]
    assert len({each["fingerprint_sha256"] for each in fingerprint["fused"]}) == 2
    others = [runs[name][0].spec["output"] for name in ("1.0", "0.75")]
    with pytest.raises(OutputError, match=r"fused\[0\]\.fingerprint_sha256"):
        run(JobSpec.from_mapping(fusion(runs, output, fuse=others)))


def test_other_targets_may_be_given(runs, tmp_path):
    job, _ = runs["1.0"]
    (tmp_path / "targets").mkdir()
    _, before = fused(runs, tmp_path / "before")
    for row in before:
        if row["mask"] is not None:
            (tmp_path / f"targets/{row['key']}.png").write_bytes(row["mask"])
    targets = str(tmp_path / "targets/{stem}.png")
    dataset = {**job.dataset, "targets": targets, "targets_missing": "row"}

    report, rows = fused(runs, tmp_path / "after", datasets=[dataset])

    assert report.datasets[0].scores.miou == 1
    assert [row["mask"] for row in rows] == [row["mask"] for row in before]


def test_a_row_that_one_output_lacks_fails_and_says_whose_it_is(runs, tmp_path, checkpoint):
    job = TinyJob.make(tmp_path / "job", checkpoint)
    job.spec["inference"] = {"probabilities": True}
    outputs = [str(tmp_path / name) for name in ("first", "second")]
    job.spec["output"], job.dataset["decode"] = outputs[0], {"max_pixels": 48 * 48 - 1}
    run(job.validated())
    job.spec["output"], job.dataset["decode"] = outputs[1], {}
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(job.root / "images/picture-03.png")
    run(job.validated())

    report, rows = fused(runs, tmp_path / "fused", fuse=outputs[::-1])

    faults = {row["key"][-2:]: (row["status"], row["error"]) for row in rows if row["error"]}
    too_large = f"{outputs[0]}: 48x48 pixels are more than decode.max_pixels, 2303"
    assert faults == {
        "03": ("changed", f"{outputs[0]} has another image of this shard and index"),
        **dict.fromkeys(("02", "05", "08", "11"), ("too_large", too_large)),
    }
    assert all((row["mask"] is None) == (row["error"] is not None) for row in rows)
    assert report.datasets[0].counts.scored_images == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fuse": ["one"]}, "at least 2 items"),
        ({"fuse": [{"output": "a", "weight": 0}, "b"]}, r"fuse\[0\]\.weight"),
        ({"model": {"checkpoint": "m.pth"}}, "leave out one of the two"),
        ({"inference": {"flip": True}}, "there is none without a model"),
    ],
)
def test_a_spec_that_cannot_be_a_fusion_is_refused(tmp_path, changes, message):
    spec = {"name": "fused", "fuse": ["a", "b"], "output": str(tmp_path)} | changes

    with pytest.raises(SpecError, match=message):
        JobSpec.from_mapping(spec)
