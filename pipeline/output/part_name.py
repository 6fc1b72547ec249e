"""A part: a bounded run of one shard's images, the unit of work and of commit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.datasets.plan import shard_slug

Ending = Literal["", "end", "cut"]

_FILE_NAME: Final = re.compile(
    r"(?P<slug>.+-[0-9a-f]{16})-(?P<number>\d{6,})(?:-(?P<ending>end|cut))?\.parquet", re.DOTALL
)


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        dataset: The dataset's name.
        shard: The shard's name.
        number: Position among the shard's parts, from 0.
        images: Rows in it.
        ending: "end" for the last part of a shard; "cut" for the one at which it broke off.
    """

    dataset: str
    shard: str
    number: int
    images: int
    ending: Ending

    @property
    def file_name(self) -> str:
        """Name of the part's file; it follows from the data alone, so writers cannot disagree."""
        return part_file_name(shard_slug(self.dataset, self.shard), self.number, self.ending)


@dataclass
class ShardFiles:
    """The part files of one shard that a listing shows.

    Attributes:
        whole: File name by number, of parts that are not cut.
        end: Number of the last part, once it is there.
        cut: File name by number, of parts at which an earlier reading broke off.
    """

    whole: dict[int, str] = field(default_factory=dict)
    end: int | None = None
    cut: dict[int, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether every part of the shard is there."""
        return self.end is not None and all(n in self.whole for n in range(self.end + 1))

    @property
    def broken_off(self) -> bool:
        """Whether all is there that could be read, up to where the shard broke off."""
        return bool(self.cut) and all(n in self.whole for n in range(max(self.cut)))

    @property
    def lost(self) -> bool:
        """Whether a row that counts stands for what could not be read of the shard."""
        return not self.finished and any(n not in self.whole for n in self.cut)

    @property
    def superseded(self) -> list[str]:
        """Names of cut parts that count no more, since the shard was read further."""
        return [name for n, name in self.cut.items() if self.finished or n in self.whole]

    @property
    def valid(self) -> list[str]:
        """Names of the files whose rows count, in order."""
        superseded = set(self.superseded)
        files = [*self.whole.items(), *self.cut.items()]
        return [name for _, name in sorted(files) if name not in superseded]


def part_file_name(slug: str, number: int, ending: Ending) -> str:
    """Return the name of a part's file."""
    return f"{slug}-{number:06d}{'-' * bool(ending)}{ending}.parquet"


def is_part_file(name: str) -> bool:
    """Say whether a file's name is one that a part's file may have."""
    return _FILE_NAME.fullmatch(name) is not None


def group_part_files(names: Iterable[str]) -> dict[str, ShardFiles]:
    """Return the part files among some names, by the slug of their shard."""
    shards: dict[str, ShardFiles] = {}
    for name in names:
        match = _FILE_NAME.fullmatch(name)
        if match is None:
            continue
        files, number = shards.setdefault(match["slug"], ShardFiles()), int(match["number"])
        if match["ending"] == "cut":
            files.cut[number] = name
        else:
            files.whole[number] = name
            if match["ending"] == "end":
                files.end = number
    return shards
