"""The stage that makes a job's parts follows from its spec."""

import pytest

from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.stages.choose_part_maker import part_maker_of
from pipeline.stages.fuser import Fuser
from pipeline.stages.mask_reader import Scorer
from pipeline.stages.segmenter import Segmenter

DATASET = {"name": "d", "images": "i/*.png", "classes": ["a", "b"]}


@pytest.mark.parametrize(
    ("section", "maker"),
    [
        ({"model": {"checkpoint": "none.pth"}, "datasets": [DATASET]}, Segmenter),
        ({"datasets": [{**DATASET, "predictions": {}}]}, Scorer),
        ({"fuse": ["one", "other"]}, Fuser),
    ],
)
def test_a_model_segments_masks_are_scored_and_outputs_are_fused(section, maker):
    spec = JobSpec.from_mapping({"name": "job", "output": "out", **section})

    assert part_maker_of(Job(spec, None, 0, {})) is maker
