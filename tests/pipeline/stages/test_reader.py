"""The reading stage: work items of either kind become tables of a part each, until a stop."""

import time

import pyarrow as pa
import pytest

from pipeline.output.work_item import pack_items
from pipeline.stages.encoded_part import EncodedPart
from pipeline.stages.reader import Reader
from pipeline.stages.stop_flag import LocalStopFlag
from planned_job import planned_job
from tars import make_tar


class UpAfter:
    """A request to stop that comes after so many questions."""

    def __init__(self, questions):
        self.left = questions

    def is_up(self):
        self.left -= 1
        return self.left < 0


def listed(root):
    for name in "abc":
        (root / f"{name}.png").write_bytes(name.encode())
    return planned_job(root, images=f"{root}/*.png")


def tar(root):
    (root / "shard.tar").write_bytes(make_tar([(f"{name}.png", name.encode()) for name in "abc"]))
    return planned_job(root, format="webdataset", images=f"{root}/shard.tar")


def read(planned, stop):
    spec, output, items = planned
    rows = pa.Table.from_pylist(pack_items(items, rows=1))
    return [EncodedPart.from_table(table) for table in Reader(spec, output, stop)(rows)]


@pytest.mark.parametrize("kind", [listed, tar])
def test_a_shard_of_either_kind_becomes_its_parts(tmp_path, kind):
    before = time.time()

    parts = read(kind(tmp_path), LocalStopFlag())

    assert [[image.image for image in part.images] for part in parts] == [[b"a", b"b"], [b"c"]]
    assert [part.part.ending for part in parts] == ["", "end"]
    assert all(before <= part.read_at <= time.time() for part in parts)
    assert [part.retries for part in parts] == [0, 0]


@pytest.mark.parametrize("kind", [listed, tar])
def test_no_further_part_is_read_once_the_run_is_to_stop(tmp_path, kind):
    planned = kind(tmp_path)

    at_once, after_one = read(planned, UpAfter(0)), read(planned, UpAfter(2))

    assert at_once == []
    assert [part.part.number for part in after_one] == [0]
