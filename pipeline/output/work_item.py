"""A work item: one shard as the driver hands it to a reader."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa

from pipeline.datasets.plan import SHARD_PARTS, PlannedShard, ShardFile

_IMAGE_BYTES: Final = 100_000  # encoded, where only reading a file tells how many images it holds


@dataclass(frozen=True)
class WorkItem:
    """A shard with parts to be made.

    Attributes:
        dataset: The dataset's name.
        shard: The shard's name.
        row_group: Row group of the plan that lists its images, where the plan does.
        file: What to read where the plan does not.
        done: Numbers of the parts that are committed.
        cut: Number of the part at which an earlier run found the shard to break off.
        redo: Numbers of parts that are committed and to be made again.
    """

    dataset: str
    shard: str
    row_group: int
    file: ShardFile | None
    done: frozenset[int]
    cut: int | None
    redo: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls,
        shard: PlannedShard,
        done: Iterable[int],
        cut: int | None,
        redo: frozenset[int] = frozenset(),
    ) -> "WorkItem":
        """Return what is left of a planned shard."""
        return cls(
            shard.dataset, shard.name, shard.row_group, shard.file, frozenset(done), cut, redo
        )


def legs(
    items: Sequence[WorkItem], part_images: int, *, most_parts: int
) -> Iterator[Sequence[WorkItem]]:
    """Cut work into legs, in order, of about so many parts at most; an item stays whole.

    Args:
        items: The work.
        part_images: Images of a part.
        most_parts: The most parts of a leg.
    """
    start = parts = 0
    for position, item in enumerate(items):
        more = _parts(item, part_images)
        if parts and parts + more > most_parts:
            yield items[start:position]
            start, parts = position, 0
        parts += more
    if start < len(items):
        yield items[start:]


def _parts(item: WorkItem, part_images: int) -> int:
    """Return how many parts an item has, about."""
    if item.file is None:
        return SHARD_PARTS
    images = item.file.images
    if images is None:
        images = item.file.size_bytes // _IMAGE_BYTES
    images = min(images, item.file.take_images or images)
    return max(1, -(-images // part_images))


def pack_items(items: Sequence[WorkItem], rows: int) -> list[dict[str, str]]:
    """Return work items as rows for Ray, in order, some to a row where there are more than `rows`.

    The driver pays for every row of a dataset for as long as the run lasts; a reader goes through
    the items of a row one by one.
    """
    size = max(1, -(-len(items) // rows))
    return [
        {"items": json.dumps([_content(item) for item in items[start : start + size]])}
        for start in range(0, len(items), size)
    ]


def unpack_items(table: pa.Table) -> list[WorkItem]:
    """Return the work items in rows that `pack_items` made."""
    return [_item(content) for text in table["items"].to_pylist() for content in json.loads(text)]


def _content(item: WorkItem) -> dict[str, Any]:
    return {**asdict(item), "done": sorted(item.done), "redo": sorted(item.redo)}


def _item(content: dict[str, Any]) -> WorkItem:
    file = content["file"] and ShardFile(**content["file"])
    numbers = {name: frozenset(content[name]) for name in ("done", "redo")}
    return WorkItem(**{**content, "file": file, **numbers})
