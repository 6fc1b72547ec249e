"""What the stages after segmenting pass on: a part's file, then the receipt of its commit."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.output.part_name import Part

_RECEIPT = pa.field("receipt", pa.string())
_FILE = pa.field("file", pa.large_binary())
_SEGMENTED = pa.schema([_RECEIPT, _FILE])


@dataclass
class StageSeconds:
    """Seconds that the stages of a run took, added up over workers."""

    read_s: float = 0.0
    decode_s: float = 0.0
    predict_s: float = 0.0
    encode_s: float = 0.0
    write_s: float = 0.0

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return _sum(self, other)


@dataclass
class ActorSeconds:
    """Seconds of a part and an actor, added up over both.

    Attributes:
        queued_s: Parts that were read waited for an actor.
        waited_s: Actors, one part made, waited for the next.
        worked_s: Actors were at work on parts: decoding, predicting, encoding, and what is between.
    """

    queued_s: float = 0.0
    waited_s: float = 0.0
    worked_s: float = 0.0

    def __add__(self, other: "ActorSeconds") -> "ActorSeconds":
        return _sum(self, other)


S = TypeVar("S", StageSeconds, ActorSeconds)


def _sum(one: S, other: S) -> S:
    return type(one)(**{name: value + getattr(other, name) for name, value in vars(one).items()})


@dataclass(frozen=True)
class Receipt:
    """What became of a part in this run: for progress only, never for the truth.

    Attributes:
        part: The part.
        failed: Failed images by status.
        seconds: What the part took.
        retries: How often an operation on a storage was tried again for it.
        replaces: Whether it was committed already, and made again.
        refused: Why it could not be committed; None if it was.
        actor_s: How long it waited for an actor, and the actor for it.
        taken_at: When an actor took it, in seconds since 1970.
    """

    part: Part
    failed: dict[str, int] = field(default_factory=dict)
    seconds: StageSeconds = field(default_factory=StageSeconds)
    retries: int = 0
    replaces: bool = False
    refused: str | None = None
    actor_s: ActorSeconds = field(default_factory=ActorSeconds)
    taken_at: float = 0.0

    def to_table(self) -> pa.Table:
        """Return the receipt as a table of one row."""
        return pa.table([[json.dumps(asdict(self))]], schema=pa.schema([_RECEIPT]))

    @classmethod
    def from_table(cls, table: Any) -> list["Receipt"]:
        """Read the receipts in the rows of a table."""
        return [cls._from_json(text) for text in table["receipt"].to_pylist()]

    @classmethod
    def _from_json(cls, text: str) -> "Receipt":
        content = json.loads(text)
        part, seconds = Part(**content.pop("part")), StageSeconds(**content.pop("seconds"))
        actor_s = ActorSeconds(**content.pop("actor_s"))
        return cls(part=part, seconds=seconds, actor_s=actor_s, **content)


@dataclass(frozen=True)
class SegmentedPart:
    """A part's file, built but not yet committed, and its receipt so far."""

    receipt: Receipt
    file: bytes

    def to_table(self) -> pa.Table:
        """Return the part as a table of one row."""
        columns = [
            pa.array([json.dumps(asdict(self.receipt))], _RECEIPT.type),
            pa.array([self.file], _FILE.type),
        ]
        return pa.table(columns, schema=_SEGMENTED)

    @staticmethod
    def none() -> pa.Table:
        """Return a table of no part."""
        return _SEGMENTED.empty_table()

    @classmethod
    def from_table(cls, table: pa.Table) -> "SegmentedPart":
        """Read what `to_table` wrote."""
        [receipt], [file] = Receipt.from_table(table), table["file"].to_pylist()
        return cls(receipt, file)
