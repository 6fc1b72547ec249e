"""How far a dataset is: what is planned, and what of it is committed."""

from dataclasses import dataclass

from pipeline.output.resume import Committed


@dataclass(frozen=True)
class DatasetProgress:
    """How far a dataset is: what is planned, and what of it is committed.

    Numbers that only reading the shards tells are None, as is the number of images committed where
    counting them would mean opening too many files.
    """

    name: str
    shards: int
    images: int | None
    parts: int | None
    size_bytes: int
    committed_shards: int
    committed_images: int | None
    committed_parts: int


def measure_progress(committed: Committed, images: int | None) -> DatasetProgress:
    """Compare a plan with what is committed, of which `images` are the images."""
    shards = committed.plan.shards
    parts = [len(shard.part_images) for shard in shards if shard.part_images is not None]
    return DatasetProgress(
        name=committed.plan.dataset,
        shards=len(shards),
        images=committed.plan.num_images,
        parts=sum(parts) if len(parts) == len(shards) else None,
        size_bytes=committed.plan.size_bytes,
        committed_shards=committed.num_finished_shards,
        committed_images=images,
        committed_parts=committed.num_parts,
    )
