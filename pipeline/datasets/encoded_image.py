"""An image as read: its bytes and its target's, or why they could not be read."""

from dataclasses import dataclass

MAX_ENCODED_BYTES = 1 << 30  # of one image; a larger one is not read


@dataclass(frozen=True)
class EncodedImage:
    """An image as read: its bytes and its target's, or why they could not be read.

    Attributes:
        status: "ok", or the status that the row will have.
        error: What was wrong, for a person.
        image: Encoded image; None if it could not be read, and there is then no prediction.
        target: Encoded target; None if there is none, or if it could not be read.
    """

    index: int
    key: str
    flags: list[str]
    uri: str
    target_uri: str | None
    status: str
    error: str | None
    image: bytes | None
    target: bytes | None
