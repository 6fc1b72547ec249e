"""Images that kill the process that decodes or predicts them become rows, and cost no other row."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image, PngImagePlugin

import command
from tiny_job import TinyJob, decode_mask, predict

pytestmark = pytest.mark.ray

POISONED_DECODER = Path(__file__).parents[1] / "support" / "poisoned_decoder"
POISONS = {3: "segfault", 6: "memory", 8: "hang", 11: "network"}
# Of a part in the first pass; then decoded alone, whole in a child, alone in one.
MOST_ATTEMPTS = 3 + 1 + 1 + 1
ROOM_BYTES = 7 << 30  # for Ray and the memory eater, before Ray's memory monitor kills it


# What eats memory also meets what other tests take of it meanwhile: alone, and slow.
@pytest.fixture(params=["without memory", pytest.param("all", marks=pytest.mark.slow)])
def poisoned(request, tmp_path, checkpoint):
    """A job of 20 images, four of which are poison, and the environment that makes them so."""
    job = TinyJob.make(tmp_path / "job", checkpoint, images=20)
    poisons = {n: kind for n, kind in POISONS.items() if request.param == "all" or kind != "memory"}
    for number, poison in poisons.items():
        path = job.root / "images" / f"picture-{number:02d}.png"
        text = PngImagePlugin.PngInfo()
        text.add_text("poison", poison)
        Image.open(path).save(path, pnginfo=text)
    job.dataset["decode"] = {"timeout_s": 0.5, "max_pixels": 10_000_000}
    job.spec["tolerance"] = {"failed_images": len(poisons)}
    memory = psutil.virtual_memory()
    used = memory.total - memory.available
    environment = {
        "PYTHONPATH": f"{POISONED_DECODER}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "POISON_LOG": str(tmp_path / "attempts"),
        "RAY_memory_usage_threshold": f"{min(0.95, (used + ROOM_BYTES) / memory.total):.3f}",
    }
    return job, environment, poisons


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_images_that_kill_their_decoder_are_crashed_rows_and_the_rest_is_done(
    poisoned, tmp_path, checkpoint
):
    job, environment, poisons = poisoned
    spec = job.write_spec()

    finished = command.run("run", spec, environment=environment, timeout_s=600)

    assert finished.returncode == 0, finished.stderr
    rows = {row["index"]: row for row in job.rows()}
    assert sorted(rows) == list(range(20))
    crashed = {index: row["error"] for index, row in rows.items() if row["status"] == "crashed"}
    assert crashed.keys() == poisons.keys()
    assert crashed[3] == "decoding it: the process was killed by SIGSEGV"
    assert crashed.get(6, "took longer than 0.5 s to decode") in {  # whichever is noticed first
        "decoding it took more memory than an image may take",
        "took longer than 0.5 s to decode",
    }
    assert crashed[11] == "predicting it: the process was killed by SIGSEGV"
    assert crashed[8] == "decoding it: the process took longer than 11 s"
    assert Counter(row["status"] for row in rows.values()) == {
        "ok": 20 - len(poisons),
        "crashed": len(poisons),
    }
    assert all(rows[index]["mask"] is None for index in crashed)
    for index, row in rows.items():
        if row["status"] == "ok":
            image = np.asarray(Image.open(job.root / "images" / f"picture-{index:02d}.png"))
            expected = predict(checkpoint, image, job.spec["inference"]["scales"])
            np.testing.assert_array_equal(decode_mask(row["mask"]), expected)
    attempts = Counter((tmp_path / "attempts").read_text().split())
    assert set(attempts) == set(poisons.values())
    assert max(attempts.values()) <= MOST_ATTEMPTS
