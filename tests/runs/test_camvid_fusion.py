"""Scoring and fusing on photographs: CamVid with the trained checkpoint."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from camvid import IMAGES, TARGETS, model
from pipeline import JobSpec, run
from pipeline.report.write_summary import report_content

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3600)]
FIVE_SCALES = [0.4, 0.6, 0.8, 1.0, 1.2]
EVERY = 12  # of the 233 images


@pytest.fixture
def camvid(tmp_path, shared):
    """Some images of CamVid `test`, from all its scenes, as a data set in a spec."""
    (tmp_path / "images").mkdir()
    for path in sorted((shared / IMAGES).iterdir())[::EVERY]:
        (tmp_path / "images" / path.name).symlink_to(path)
    return {
        "name": "camvid",
        "images": str(tmp_path / "images/*.png"),
        "targets": str(shared / TARGETS / "{stem}.png"),
        "classes": "camvid",
    }


def segmented(folder, shared, dataset, scales, *, probabilities):
    """Run the model at some scales; return the output."""
    output = str(folder / ("x".join(map(str, scales))))
    spec = {
        "name": "camvid",
        "model": model(str(shared / "data/weights")),
        "inference": {"scales": scales, "probabilities": probabilities},
        "datasets": [dataset],
        "output": output,
    }
    report = run(JobSpec.from_mapping(spec))
    assert report.exit_code == 0
    return output, report


def masks(output):
    """Return the label maps in an output, by key."""
    table = pq.read_table(f"{output}/masks/dataset=camvid")
    pairs = zip(table["key"].to_pylist(), table["mask"].to_pylist(), strict=True)
    return {key: np.asarray(Image.open(io.BytesIO(mask))) for key, mask in pairs}


def agreement(one, other):
    """Return the share of pixels with equal labels in two outputs."""
    one, other = masks(one), masks(other)
    assert one.keys() == other.keys()
    return np.mean([(one[key] == other[key]).mean() for key in one])


@pytest.mark.usefixtures("ray_session")
def test_fusing_five_scales_gives_the_labels_of_a_run_at_five(tmp_path, shared, camvid):
    five, five_report = segmented(tmp_path, shared, camvid, FIVE_SCALES, probabilities=False)
    ones = [
        segmented(tmp_path, shared, camvid, [scale], probabilities=True)[0] for scale in FIVE_SCALES
    ]
    output = str(tmp_path / "fused")

    report = run(JobSpec.from_mapping({"name": "fused", "fuse": ones, "output": output}))

    equal = agreement(output, five)
    miou, fused_miou = (each.datasets[0].scores.miou for each in (five_report, report))
    alone = agreement(ones[3], five)
    figures = f"equal {equal:.3%}, scale 1.0 alone {alone:.3%}; mIoU {miou:.5f} {fused_miou:.5f}"
    print(figures)  # noqa: T201 - for docs/measurements.md
    assert equal >= 0.995
    assert alone < 0.98
    assert fused_miou == pytest.approx(miou, abs=0.005)


@pytest.mark.usefixtures("ray_session")
def test_exported_masks_give_the_runs_own_figures(tmp_path, shared, camvid):
    output, report = segmented(tmp_path, shared, camvid, [1.0], probabilities=False)
    (tmp_path / "masks").mkdir()
    for key, labels in masks(output).items():
        Image.fromarray(labels).save(tmp_path / f"masks/{key}.png")
    dataset = {**camvid, "images": str(tmp_path / "masks/*.png"), "predictions": {}}
    scored = run(
        JobSpec.from_mapping(
            {"name": "scored", "datasets": [dataset], "output": str(tmp_path / "scored")}
        )
    )

    [of_run], [of_masks] = (report_content(each)["datasets"] for each in (report, scored))
    for name in ("miou_interval", "mean_confidence"):  # of the images, not of the masks
        del of_run[name], of_masks[name]
    assert of_masks == of_run
