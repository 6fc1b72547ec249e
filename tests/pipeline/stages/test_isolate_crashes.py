"""The second pass: an image is blamed for what it does, and for nothing else."""

import shutil

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
from pipeline.stages.stop_flag import StopFlag
from pipeline.storage.storage import Storage

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def job(tiny_job, checkpoint, tmp_path):
    tiny_job.spec["model"]["checkpoint"] = str(shutil.copy(checkpoint, tmp_path / "weights.pth"))
    return tiny_job


def part_of(job):
    """Return the job's first images as a part, the last of them broken."""
    files = sorted((job.root / "images").iterdir())[:3]
    data = [*(file.read_bytes() for file in files), b"no image"]
    images = [
        EncodedImage(index, str(index), [], f"{index}.png", None, "ok", None, each, None)
        for index, each in enumerate(data)
    ]
    return EncodedPart(Part("pictures", "shard", 0, len(images), "end"), images, 0.0).to_table()


def test_a_part_without_poison_is_made_as_in_the_first_pass(job):
    prepared = prepare_job(job.validated(), Storage())
    part = part_of(job)

    isolated = IsolatingPartMaker(prepared, Storage(), threads=1, stop=StopFlag())(part)

    assert isolated["file"] == Segmenter(prepared, Storage(), threads=1)(part)["file"]
    rows = pq.read_table(pa.BufferReader(isolated["file"][0].as_py())).to_pylist()
    assert [row["status"] for row in rows] == ["missing_target"] * 3 + ["undecodable"]


def test_that_the_checkpoint_is_away_is_no_images_fault(job, tmp_path):
    prepared = prepare_job(job.validated(), Storage())
    maker = IsolatingPartMaker(prepared, Storage(), threads=1, stop=StopFlag())
    (tmp_path / "weights.pth").unlink()

    with pytest.raises(StorageError, match=r"weights\.pth: no such file"):
        maker(part_of(job))
