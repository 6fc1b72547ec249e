"""What file systems raise, in words that say what to do."""

import contextlib
import errno
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from pipeline.errors import (
    PipelineError,
    ShardBrokenError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from pipeline.storage.retries import causes, passes
from pipeline.storage.uris import protocol_of, shown

# What readers of an open file raise about its content: that is not the storage's.
_OF_THE_READER: Final = (ShardBrokenError, pa.ArrowException)
_FULL: Final = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name)}
_DENIED: Final[set[str | int]] = {401, 403, "AccessDenied", "InvalidAccessKeyId", "Forbidden"}
_UNREACHABLE: Final[set[str | int]] = {
    *("EndpointConnectionError", "ConnectionRefusedError", "ClientConnectorError"),
    *("ClientConnectorDNSError", "ServiceRequestError"),
}


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what a file system raises into a StorageError that says what to do."""
    try:
        yield
    except (PipelineError, *_OF_THE_READER):
        raise
    except Exception as error:
        raise _explain(uri, error) from error


def _explain(uri: str, error: Exception) -> StorageError:
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or _codes_of(error) & {"QuotaExceeded", "StorageFull", "InsufficientStorage", 507}:
        return StorageFullError(shown(uri), f"there is no space left ({error}); free some")
    kind = StorageUnavailableError if passes(error) else StorageError
    return kind(shown(uri), _reason(uri, error))


def _reason(uri: str, error: Exception) -> str:
    codes = _codes_of(error)
    where = f"the storage_options of {protocol_of(uri)!r}"
    if isinstance(error, FileNotFoundError) or "NoSuchBucket" in codes:
        bucket = protocol_of(uri) != "file"
        reason = "no such bucket or object" if bucket else "no such file or folder"
        return f"{reason}; check the name" + (f" and {where}" * bucket)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"there is a file where a folder should be ({error}); move it, or give another name"
    if isinstance(error, PermissionError) or codes & _DENIED or str(error).startswith("Forbidden"):
        return (
            f"access denied ({error}); check the credentials in the environment and what they "
            "may do here"
        )
    if codes & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return (
            "no credentials found; set them in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or an instance role)"
        )
    if codes & _UNREACHABLE:
        return f"cannot be reached ({error}); check {where}"
    text = f"{type(error).__name__}: {error}"
    # An option that the file system does not know is one of these.
    return f"{text}; check {where}" if isinstance(error, TypeError | ValueError) else text


def says_exists(error: Exception) -> bool:
    """Say whether an object store refused a create-if-absent because the object is there.

    By types and status codes alone: a text may hold any number, the object's name among it.
    """
    there = any(isinstance(cause, FileExistsError) for cause in causes(error))
    return there or bool(_codes_of(error) & {412, "PreconditionFailed", "ResourceExistsError"})


def _codes_of(error: Exception) -> set[str | int]:
    """Return what an error and its causes say in other ways than in words.

    That is the names of their types, HTTP statuses, and the codes of S3, Azure and Google.
    """
    found: set[Any] = set()
    for cause in causes(error):
        found.add(type(cause).__name__)
        response = getattr(cause, "response", None)
        if isinstance(response, Mapping):  # botocore's
            found.add(response.get("Error", {}).get("Code"))
            found.add(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        # aiohttp's, Azure's, Google's
        found |= {getattr(cause, name, None) for name in ("status", "status_code", "error_code")}
        if not isinstance(cause, OSError | SystemExit):
            found.add(getattr(cause, "code", None))
    return {int(code) if str(code).isdecimal() else str(code) for code in found if code is not None}
