"""What is committed of a plan, as a listing of the mask table shows it."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from pipeline.datasets.plan import DatasetPlan, PlannedShard
from pipeline.output.part_name import ShardFiles, group_part_files, part_file_name
from pipeline.output.work_item import WorkItem


class Committed:
    """The committed parts of a dataset.

    Args:
        plan: The dataset's plan.
        names: Names of the files in its mask table, of whatever kind.
    """

    def __init__(self, plan: DatasetPlan, names: Iterable[str]) -> None:
        self.plan = plan
        self._by_slug = group_part_files(names)

    def of(self, shard: PlannedShard) -> ShardFiles:
        """Return a shard's part files."""
        return self._by_slug.get(shard.slug, ShardFiles())

    @cached_property
    def files(self) -> list[str]:
        """Names of the files whose rows count, those of planned shards alone."""
        return [name for shard in self.plan.shards for name in self.of(shard).valid]

    @property
    def superseded(self) -> list[str]:
        """Names of cut parts whose shards have been read further since."""
        return [name for shard in self.plan.shards for name in self.of(shard).superseded]

    @property
    def num_parts(self) -> int:
        """Number of parts that are committed."""
        return len(self.files)

    @property
    def num_counted_images(self) -> int:
        """Number of images in them, but for those in `uncounted` files."""
        total = 0
        for shard in self.plan.shards:
            files = self.of(shard)
            if shard.part_images is not None:
                total += sum(shard.part_images[number] for number in files.whole)
            elif files.finished and shard.images is not None:
                total += shard.images
        return total

    @property
    def uncounted(self) -> list[str]:
        """Names of files whose number of images the plan does not tell."""
        return [
            name
            for shard in self.plan.shards
            for files in [self.of(shard)]
            if shard.part_images is None and not (files.finished and shard.images is not None)
            for name in files.valid
        ]

    @property
    def num_finished_shards(self) -> int:
        """Number of shards whose every part is committed."""
        return sum(self.of(shard).finished for shard in self.plan.shards)

    @property
    def broken_shards(self) -> list[str]:
        """Names of shards of which a row stands for all that could not be read of them."""
        return [shard.name for shard in self.plan.shards if self.of(shard).lost]

    def missing(self) -> list[WorkItem]:
        """Return the shards that have parts to be made; one that broke off is among them."""
        items = []
        for shard in self.plan.shards:
            files = self.of(shard)
            if not files.finished:
                items.append(WorkItem.of(shard, files.whole, max(files.cut, default=None)))
        return items

    def redone(self, failed: Callable[[Sequence[str]], Sequence[bool]]) -> list[WorkItem]:
        """Return what is left to do if parts with failed images are made again.

        Args:
            failed: Says of part files whether they have failed images.
        """
        names = [name for shard in self.plan.shards for name in self.of(shard).whole.values()]
        has_failed = dict(zip(names, failed(names), strict=True))
        items = []
        for shard in self.plan.shards:
            files = self.of(shard)
            redo = frozenset(n for n, name in files.whole.items() if has_failed[name])
            if redo or not files.finished:
                cut = max(files.cut, default=None)
                items.append(WorkItem.of(shard, files.whole.keys() - redo, cut, redo))
        return items

    def left_out(self) -> list[WorkItem]:
        """Return the shards that a pass over all that was missing did not get done.

        One that broke off is not among them: it has all the parts that it can have.
        """
        return [
            WorkItem.of(shard, files.whole, max(files.cut, default=None))
            for shard in self.plan.shards
            for files in [self.of(shard)]
            if not files.finished and not files.broken_off
        ]

    def missing_files(self) -> list[str]:
        """Return the names of files that are not there, of unread shards the first.

        A shard that broke off has all the files that it can have.
        """
        names = []
        for shard in self.plan.shards:
            files = self.of(shard)
            if shard.part_images is not None:
                last = len(shard.part_images) - 1
                names += [
                    part_file_name(shard.slug, number, "end" if number == last else "")
                    for number in range(last + 1)
                    if number not in files.whole
                ]
            elif not files.finished and not files.broken_off:
                first = next(n for n in range(len(files.whole) + 1) if n not in files.whole)
                names.append(part_file_name(shard.slug, first, ""))
        return names
