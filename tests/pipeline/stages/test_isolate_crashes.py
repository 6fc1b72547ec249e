"""The second pass: an image is blamed for what it does, and for nothing else."""

import os
import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.errors import StorageError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.part_name import Part
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.isolate_crashes import IsolatingPartMaker
from pipeline.stages.segmenter import Segmenter
from pipeline.stages.stop_flag import LocalStopFlag
from pipeline.storage.storage import Storage
from poison import POISONED_DECODER, poison


@pytest.fixture
def job(tiny_job, checkpoint, tmp_path):
    tiny_job.spec["model"]["checkpoint"] = str(shutil.copy(checkpoint, tmp_path / "weights.pth"))
    return tiny_job


def part_of(job, images=3):
    """Return the job's first images as a part, and behind them a broken one."""
    files = sorted((job.root / "images").iterdir())[:images]
    data = [*(file.read_bytes() for file in files), b"no image"]
    images = [
        EncodedImage(index, str(index), [], f"{index}.png", None, "ok", None, each, None)
        for index, each in enumerate(data)
    ]
    return EncodedPart(Part("pictures", "shard", 0, len(images), "end"), images, 0.0).to_table()


def test_a_part_without_poison_is_made_as_in_the_first_pass(job):
    prepared = prepare_job(job.validated(), Storage())
    part = part_of(job)

    isolated = IsolatingPartMaker(prepared, Storage(), threads=1, stop=LocalStopFlag())(part)

    assert isolated["file"] == Segmenter(prepared, Storage(), threads=1)(part)["file"]
    rows = pq.read_table(pa.BufferReader(isolated["file"][0].as_py())).to_pylist()
    assert [row["status"] for row in rows] == ["missing_target"] * 3 + ["undecodable"]


def test_that_the_checkpoint_is_away_is_no_images_fault(job, tmp_path):
    prepared = prepare_job(job.validated(), Storage())
    maker = IsolatingPartMaker(prepared, Storage(), threads=1, stop=LocalStopFlag())
    (tmp_path / "weights.pth").unlink()

    with pytest.raises(StorageError, match=r"weights\.pth: no such file"):
        maker(part_of(job))


@pytest.fixture
def poisonable(monkeypatch, tmp_path):
    """Have children of this process decode what is poison; return the file of their attempts."""
    monkeypatch.setenv("POISON_LOG", str(tmp_path / "attempts"))
    search_path = f"{POISONED_DECODER}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", search_path)
    monkeypatch.syspath_prepend(POISONED_DECODER)
    return tmp_path / "attempts"


def test_an_image_that_is_given_up_alone_is_not_decoded_where_memory_has_no_limit(job, poisonable):
    """Left behind there, one that eats memory took the whole actor with it, and the part."""
    poison(job.root / "images" / "picture-01.png", "slow")
    job.dataset["decode"] = {"timeout_s": 0.5}
    maker = IsolatingPartMaker(
        prepare_job(job.validated(), Storage()), Storage(), threads=1, stop=LocalStopFlag()
    )

    made = maker(part_of(job))

    rows = pq.read_table(pa.BufferReader(made["file"][0].as_py())).to_pylist()
    crashed = {row["index"]: row["error"] for row in rows if row["status"] == "crashed"}
    assert crashed == {1: "took longer than 1 s to decode"}
    assert poisonable.read_text().split() == ["slow"]


def test_each_image_that_kills_a_process_is_a_row_with_its_reason_and_the_others_are_made(
    job, poisonable
):
    poisons = {1: "segfault", 2: "memory", 4: "hang", 5: "network"}
    for number, kind in poisons.items():
        poison(job.root / "images" / f"picture-{number:02d}.png", kind)
    job.dataset["decode"] = {"timeout_s": 2, "max_pixels": 1_000_000}
    maker = IsolatingPartMaker(
        prepare_job(job.validated(), Storage()), Storage(), threads=1, stop=LocalStopFlag()
    )

    made = maker(part_of(job, images=7))

    rows = pq.read_table(pa.BufferReader(made["file"][0].as_py())).to_pylist()
    crashed = {row["index"]: row["error"] for row in rows if row["status"] == "crashed"}
    assert crashed == {
        1: "decoding it: the process was killed by SIGSEGV",
        2: "decoding it took more memory than an image may take",
        4: "decoding it: the process took longer than 14 s",
        5: "predicting it: the process was killed by SIGSEGV",
    }
    assert [row["mask"] is None for row in rows] == [row["index"] in {*crashed, 7} for row in rows]
    attempts = Counter(poisonable.read_text().split())
    # Alone, then as part of the whole and alone again where only a network dies of it.
    assert attempts == {"segfault": 1, "memory": 1, "hang": 1, "network": 3}
