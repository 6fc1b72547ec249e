"""URIs: how locations are named, the same on every worker."""

import re
from pathlib import Path
from typing import Final

# Of storages that hold objects themselves; fsspec knows others, which lead to further locations.
PROTOCOLS: Final = frozenset(
    {"file", "s3", "gs", "az", "abfs", "abfss", "adl", "http", "https", "hdfs", "webhdfs"}
    | {"ftp", "sftp", "ssh", "smb", "oss", "oci", "hf"}
)

_WILDCARDS: Final = "*?["


def protocol_of(uri: str) -> str:
    """Return a URI's protocol under one name each: "s3a" is "s3", a plain path "file"."""
    protocol = uri.split("://", 1)[0] if "://" in uri else "file"
    return {"s3a": "s3", "local": "file", "gcs": "gs"}.get(protocol, protocol)


def fault_of(uri: str) -> str | None:
    """Say why a URI is not followed that stands in a file which others may have written.

    Returns:
        None if it may be followed: one storage, without another behind it.
    """
    if "::" in uri:
        return "it holds '::', by which fsspec chains storages"
    protocol = protocol_of(uri)
    if protocol not in PROTOCOLS:
        return f"its protocol is {protocol!r}; those of images are {', '.join(sorted(PROTOCOLS))}"
    return None


def absolute_uri(location: str) -> str:
    """Return a location as a URI that means the same on every worker: plain paths become file://.

    Paths are not percent-encoded: a URI is the protocol and the name, as the storage has it.
    """
    if "://" in location:
        return location.rstrip("/")
    return f"file://{Path(location).expanduser().absolute()}"


def resolve(location: str, folder: str) -> str:
    """Return the URI of a location that something in a folder names, relative to it or not."""
    relative = "://" not in location and not location.startswith("/")
    return join(folder, location) if relative else absolute_uri(location)


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


def without_extension(path: str) -> str:
    """Return a path without the extension of its last segment; a leading dot begins none."""
    folder, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem}" if dot and stem.strip(".") else path


def extension(path: str) -> str:
    """Return what follows the last dot of a path's last segment, in lower case."""
    return path[len(without_extension(path)) + 1 :].lower()


def expand_braces(pattern: str) -> list[str]:
    """Return what `{a,b}` and `{000..127}` in a pattern stand for, in the order of writing.

    Ranges keep the zeros of their first number; braces may stand in each other and be several.

    Raises:
        ValueError: A brace is not closed, or holds neither a list nor a range.
    """
    start = pattern.find("{")
    if start < 0:
        return [pattern]
    end = _closing_brace(pattern, start)
    choices = _choices(pattern[start + 1 : end])
    rests = expand_braces(pattern[end + 1 :])
    return [pattern[:start] + choice + rest for choice in choices for rest in rests]


def _closing_brace(pattern: str, start: int) -> int:
    depth = 0
    for position in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[position], 0)
        if depth == 0:
            return position
    raise ValueError(f"{pattern!r}: a brace is not closed")


def _choices(inner: str) -> list[str]:
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", inner)
    if bounds:
        first, last = int(bounds[1]), int(bounds[2])
        if last < first:
            raise ValueError(f"the range {{{inner}}} is empty; write the smaller number first")
        return [f"{number:0{len(bounds[1])}d}" for number in range(first, last + 1)]
    choices, depth, choice = [], 0, ""
    for character in inner:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            choices.append(choice)
            choice = ""
        else:
            choice += character
    if not choices:
        raise ValueError(f"{{{inner}}} is neither a list {{a,b}} nor a range {{000..127}}")
    return [expanded for each in (*choices, choice) for expanded in expand_braces(each)]
