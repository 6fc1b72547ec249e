"""URIs: how locations are named, the same on every worker."""

from pathlib import Path
from typing import Final

_WILDCARDS: Final = "*?["


def protocol_of(uri: str) -> str:
    """Return a URI's protocol under one name each: "s3a" is "s3", a plain path "file"."""
    protocol = uri.split("://", 1)[0] if "://" in uri else "file"
    return {"s3a": "s3", "local": "file", "gcs": "gs"}.get(protocol, protocol)


def absolute_uri(location: str) -> str:
    """Return a location as a URI that means the same on every worker: plain paths become file://.

    Paths are not percent-encoded: a URI is the protocol and the name, as the storage has it.
    """
    if "://" in location:
        return location.rstrip("/")
    return f"file://{Path(location).expanduser().absolute()}"


def shown(uri: str) -> str:
    """Return a URI as people type it: local files as plain paths."""
    return uri.removeprefix("file://")


def join(uri: str, *names: str) -> str:
    """Return the URI of something below another."""
    return "/".join((uri.rstrip("/"), *names))


def has_wildcard(pattern: str) -> bool:
    """Say whether a pattern is a glob."""
    return any(character in pattern for character in _WILDCARDS)


def glob_base(pattern: str) -> str:
    """Return the folder that everything matching a glob lies below; a folder is its own."""
    if not has_wildcard(pattern):
        return pattern.rstrip("/")
    first = min(pattern.index(character) for character in _WILDCARDS if character in pattern)
    return pattern[:first].rpartition("/")[0]
