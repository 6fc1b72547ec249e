"""What file systems raise, in words that say what to do."""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from pipeline.errors import (
    ShardBrokenError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from pipeline.retrying import passes
from pipeline.uris import protocol_of, shown

# What readers of an open file raise about its content: that is not the storage's.
_OF_THE_READER: Final = (ShardBrokenError, pa.ArrowException)


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what a file system raises into a StorageError that says what to do."""
    try:
        yield
    except (StorageError, *_OF_THE_READER):
        raise
    except Exception as error:
        raise _explain(uri, error) from error


def _explain(uri: str, error: Exception) -> StorageError:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or _mentions(str(error), ("QuotaExceeded", "StorageFull", "InsufficientStorage")):
        return StorageFullError(shown(uri), f"there is no space left ({error}); free some")
    kind = StorageUnavailableError if passes(error) else StorageError
    return kind(shown(uri), _reason(uri, error))


def _reason(uri: str, error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    where = f"the storage_options of {protocol_of(uri)!r}"
    if isinstance(error, FileNotFoundError) or "NoSuchBucket" in text:
        bucket = protocol_of(uri) != "file"
        reason = "no such bucket or object" if bucket else "no such file or folder"
        return f"{reason}; check the name" + (f" and {where}" * bucket)
    if isinstance(error, PermissionError) or _mentions(text, ("403", "AccessDenied", "Forbidden")):
        return (
            f"access denied ({error}); check the credentials in the environment and what they "
            "may do here"
        )
    if _mentions(text, ("NoCredentials", "Unable to locate credentials")):
        return (
            "no credentials found; set them in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or an instance role)"
        )
    if _mentions(text, ("EndpointConnectionError", "ConnectionRefused", "Cannot connect to host")):
        return f"cannot be reached ({error}); check {where}"
    if isinstance(error, TypeError | ValueError):  # an option that the file system does not know
        return f"{text}; check {where}"
    return text


def says_exists(error: Exception) -> bool:
    """Say whether a create-if-absent failed because another writer was first."""
    return isinstance(error, FileExistsError) or _mentions(
        f"{type(error).__name__}: {error}", ("PreconditionFailed", "412", "pre-condition")
    )


def _mentions(text: str, words: Sequence[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)
