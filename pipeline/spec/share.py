"""A share: what one of several runs makes of a job that they work on together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import SpecError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Every so many-th shard of each dataset.

    Attributes:
        number: Which share, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read "2/3", the second of three.

        Raises:
            SpecError: It is none.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise SpecError(
                "share",
                (f"{text!r} is none; write K/N, the K-th of N shares, for example 1/4 to 4/4",),
            )
        return cls(int(found[1]), int(found[2]))

    def take(self, shards: Sequence[T]) -> Sequence[T]:
        """Return what of all shards is this share's; one beside the other, for they are alike."""
        return shards[self.number - 1 :: self.of]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
