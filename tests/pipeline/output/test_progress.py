"""How far a data set is: what is planned, and what of it is committed."""

from pipeline.datasets.make_plan import plan_shard_files
from pipeline.datasets.plan import ShardFile
from pipeline.output.part_name import part_file_name
from pipeline.output.progress import DatasetProgress, measure_progress
from pipeline.output.resume import Committed
from planned_images import planned


def test_of_planned_images_all_numbers_are_known():
    plan = planned([2] * 50)  # two shards, of 16 parts of three images and of one of two
    first, second = plan.shards
    names = [part_file_name(first.slug, 3, ""), part_file_name(second.slug, 0, "end")]

    progress = measure_progress(Committed(plan, names), 5)

    assert progress == DatasetProgress(
        name="d",
        shards=2,
        images=50,
        parts=17,
        size_bytes=100,
        committed_shards=1,
        committed_images=5,
        committed_parts=2,
    )


def test_what_only_reading_a_tar_tells_is_not_known():
    plan = plan_shard_files("d", [ShardFile(f"{n}.tar", f"{n}.tar", 10, "e") for n in range(3)])

    progress = measure_progress(Committed(plan, []), None)

    assert (progress.images, progress.parts, progress.committed_images) == (None, None, None)
    assert (progress.shards, progress.size_bytes, progress.committed_parts) == (3, 30, 0)
