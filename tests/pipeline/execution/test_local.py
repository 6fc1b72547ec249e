"""The stages without Ray: a child process makes the parts, and may die of it."""

import logging
import os
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from in_process import invoke
from pipeline import run
from pipeline.errors import ActorError, StorageError
from pipeline.execution.observer import Silent
from pipeline.stages.committer import Committer
from pipeline.stages.reader import Reader
from poison import POISONED_DECODER, poison
from stages_in_order import runs_in_this_process
from tiny_job import TinyJob, decode_mask, predict, save_checkpoint


@pytest.fixture
def job(tmp_path, checkpoint):
    job = TinyJob.make(tmp_path / "job", checkpoint)
    job.spec["resources"]["executor"] = "local"
    return job


def test_parts_are_the_bytes_that_the_stages_make_in_one_process(job):
    done = invoke("run", job.write_spec())
    job.spec["output"] += "-in-order"
    with runs_in_this_process():
        in_order = run(job.validated())

    assert done.exit_code == in_order.exit_code == 0, done.stderr
    assert "running in this process and a child: resources.executor is 'local'" in done.stderr
    assert parts(job.root / "output") == parts(job.output)
    assert len(parts(job.output)) == 3


def parts(output):
    return {path.name: path.read_bytes() for path in output.glob("masks/*/*.parquet")}


def test_images_that_kill_the_child_are_crashed_rows_and_cost_no_other(
    job, checkpoint, monkeypatch, tmp_path
):
    poisons = {3: "segfault", 4: "network"}
    for number, kind in poisons.items():
        poison(job.root / "images" / f"picture-{number:02d}.png", kind)
    job.spec["tolerance"] = {"failed_images": 2}
    monkeypatch.setenv("POISON_LOG", str(tmp_path / "attempts"))
    search_path = f"{POISONED_DECODER}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", search_path)
    monkeypatch.syspath_prepend(POISONED_DECODER)

    done = invoke("run", job.write_spec())

    assert done.exit_code == 0, done.stderr
    rows = {row["index"]: row for row in job.rows()}
    assert {index: row["error"] for index, row in rows.items() if row["status"] == "crashed"} == {
        3: "decoding it: the process was killed by SIGSEGV",
        4: "predicting it: the process was killed by SIGSEGV",
    }
    assert Counter(row["status"] for row in rows.values()) == {"ok": 10, "crashed": 2}
    for index in (0, 5, 11):
        image = np.asarray(Image.open(job.root / "images" / f"picture-{index:02d}.png"))
        expected = predict(checkpoint, image, job.spec["inference"]["scales"])
        np.testing.assert_array_equal(decode_mask(rows[index]["mask"]), expected)
    attempts = Counter((tmp_path / "attempts").read_text().split())
    assert max(attempts.values()) <= 3 + 1 + 1 + 1


def test_a_shard_whose_reading_fails_is_tried_again_and_goes_on_where_it_was(job, monkeypatch):
    read, failures = Reader.__call__, iter([2, 1])

    def failing(self, items):
        stop_after = next(failures, None)
        for number, part in enumerate(read(self, items)):
            if number == stop_after:
                raise OSError("the network is away")
            yield part

    monkeypatch.setattr(Reader, "__call__", failing)

    report = run(job.validated())

    assert report.complete
    assert report.timings.images == {"pictures": 12}
    assert [row["index"] for row in job.rows()] == list(range(12))


def test_what_fails_each_time_is_left_out_said_and_exit_code_3(job, monkeypatch, caplog):
    caplog.set_level(logging.ERROR)

    def failing(self, items):  # noqa: ARG001 - as the reader's
        raise OSError("the disk is broken")
        yield

    monkeypatch.setattr(Reader, "__call__", failing)

    report = run(job.validated())

    assert not report.complete
    assert report.exit_code == 3
    assert "a part failed: OSError: the disk is broken" in caplog.text


def test_why_no_part_can_be_made_is_said_in_our_words(job, tmp_path):
    checkpoint = tmp_path / "checkpoint.pth"
    job.spec["model"]["checkpoint"] = str(save_checkpoint(checkpoint))

    class Vandal(Silent):
        def planned(self, _datasets):
            weights = torch.load(checkpoint)
            name = next(iter(weights))
            torch.save({**weights, name: weights[name] + 1}, checkpoint)

    with pytest.raises(ActorError, match=r"an actor cannot be made: .*has changed: SHA-256 \w+"):
        run(job.validated(), Vandal())

    assert job.rows() == []


def test_an_output_that_takes_no_more_ends_the_run_and_the_child(job, monkeypatch):
    commit = Committer._put  # noqa: SLF001 - a fault in the middle of a run

    def full(self, segmented):
        if segmented.receipt.part.number == 1:
            raise StorageError("output", "there is no space left")
        commit(self, segmented)

    monkeypatch.setattr(Committer, "_put", full)

    with pytest.raises(StorageError, match="there is no space left"):
        run(job.validated())

    assert len(parts(job.output)) == 1


def test_masks_are_scored_without_ray_as_well(job):
    del job.spec["model"], job.spec["inference"]
    label_map = {**{k: k for k in range(4)}, 255: 255}
    job.dataset["images"] = str(job.root / "targets/*.png")
    job.dataset["predictions"] = {"label_map": label_map}

    report = run(job.validated())

    assert report.datasets[0].scores.miou == 1
