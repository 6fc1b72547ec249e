"""Which stage makes a job's parts: the network, masks that exist, or other outputs."""

from pipeline.spec.resolved_job import Job
from pipeline.stages.part_maker import PartMaker


def part_maker_of(job: Job) -> type[PartMaker]:
    """Return what makes a job's parts; some import PyTorch, which takes seconds."""
    if job.spec.fuse is not None:
        from pipeline.stages.fuser import Fuser  # noqa: PLC0415

        return Fuser
    if job.spec.model is None:
        from pipeline.stages.mask_reader import Scorer  # noqa: PLC0415

        return Scorer
    from pipeline.stages.segmenter import Segmenter  # noqa: PLC0415

    return Segmenter
