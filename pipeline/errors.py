"""What the pipeline raises before any worker starts, each with the thing, the fault, the remedy."""

from functools import partial
from typing import Any


class PipelineError(Exception):
    """Base of every error that ends a run because of what its user gave."""


class SpecError(PipelineError):
    """A job spec is wrong; `source` names it, `problems` has a line for each thing wrong."""

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        super().__init__(source, problems)
        self.source, self.problems = source, problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        return f"{self.source}: {len(self.problems)} problems\n  " + "\n  ".join(self.problems)


class StorageError(PipelineError):
    """A storage location cannot be used; `uri` names it, `reason` says why and what to do."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri, reason)
        self.uri, self.reason = uri, reason

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


class StorageUnavailableError(StorageError):
    """A storage location could not be used in all attempts, for a reason that passes."""


class StorageFullError(StorageError):
    """A storage location takes no more: the disk is full, or a quota used up."""


class PlanError(PipelineError):
    """A dataset cannot be planned; `dataset` names it, `reason` says why and what to do."""

    def __init__(self, dataset: str, reason: str) -> None:
        super().__init__(dataset, reason)
        self.dataset, self.reason = dataset, reason

    def __str__(self) -> str:
        return f"dataset {self.dataset}: {self.reason}"


class OutputError(PipelineError):
    """An output folder holds something that this job must not touch; `uri` names it."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri, reason)
        self.uri, self.reason = uri, reason

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


class ClusterError(PipelineError):
    """A Ray cluster cannot be used; `address` names it, `reason` says why and what to do."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class DeviceError(PipelineError):
    """An actor does not find its device; `node` names the machine, `reason` says what to do."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(node, reason)
        self.node, self.reason = node, reason

    def __str__(self) -> str:
        return f"{self.node}: {self.reason}"


class ActorError(PipelineError):
    """No actor can be made; `reason` is what the last one said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"an actor cannot be made: {self.reason}"


class DecodeError(Exception):
    """An image's bytes give no picture: `status` is its row's status, `reason` the row's error."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason

    def __str__(self) -> str:
        return self.reason


class ShardBrokenError(Exception):
    """A shard breaks off: `reason` says how, `at_end` whether because there is no more of it."""

    def __init__(self, reason: str, *, at_end: bool) -> None:
        super().__init__(reason, at_end)
        self.reason, self.at_end = reason, at_end

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(ShardBrokenError, at_end=self.at_end), (self.reason,)
