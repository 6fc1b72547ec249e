"""`refinenet-batch evaluate`: scores of masks that exist, for people and for programs."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from in_process import invoke
from tiny_job import CLASSES, picture


@pytest.mark.usefixtures("without_ray")
def test_masks_are_scored_and_an_odd_one_is_a_failed_row(tmp_path):
    for folder in ("masks", "targets"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            Image.fromarray(picture(number)[1]).save(tmp_path / folder / f"{number}.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "masks/2.png")
    spec = {
        "name": "scored",
        "datasets": [
            {
                "name": "masks",
                "images": str(tmp_path / "masks"),
                "targets": str(tmp_path / "targets/{stem}.png"),
                "classes": CLASSES,
                "predictions": {"encoding": "indices"},
            }
        ],
        "output": str(tmp_path / "output"),
    }
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))

    table = invoke("evaluate", path)
    content = invoke("evaluate", path, "--json")

    assert table.exit_code == content.exit_code == 1
    assert "1.00000" in table.stdout
    assert "failed: 1 bad_target" in table.stdout
    [dataset] = json.loads(content.stdout)["datasets"]
    assert dataset["miou"] == 1
    assert dataset["statuses"] == {"bad_target": 1, "ok": 2}


def test_a_job_with_a_model_is_refused(tiny_job):
    done = invoke("evaluate", tiny_job.write_spec())

    assert done.exit_code == 2
    assert "model: masks that exist need none" in done.stderr
