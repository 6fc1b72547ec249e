"""What the core raises."""


class RefineNetError(Exception):
    """Base of every error that `refinenet_core` raises on its own account."""


class CheckpointError(RefineNetError):
    """A weights file cannot be used; `source` names the file, `reason` says what is wrong."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"
