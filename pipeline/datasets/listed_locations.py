"""What listing a dataset's images and targets would show of an output folder."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fsspec.utils import glob_translate

from pipeline.spec.dataset_spec import TARGET_PLACEHOLDERS
from pipeline.storage.uris import expand_braces, has_wildcard, join, protocol_of

if TYPE_CHECKING:
    from pipeline.spec.dataset_spec import DatasetSpec


def target_folder(pattern: str) -> str:
    """Return what holds all targets: listed at once, for image by image it would take hours."""
    for placeholder in TARGET_PLACEHOLDERS:
        pattern = pattern.partition(placeholder)[0]
    return pattern.rpartition("/")[0]


def listing_field(dataset: "DatasetSpec", output: str, names: Iterable[str]) -> str | None:
    """Return the field of a dataset whose listing would show files of an output folder.

    Args:
        dataset: The dataset.
        output: URI of the output folder.
        names: Paths below it of the files that a job writes.

    Returns:
        "images" or "targets"; None if neither does.
    """
    in_folder = dataset.format == "folder"
    patterns = [dataset.images] if in_folder else expand_braces(dataset.images)
    files = [join(output, name) for name in names]
    if any(_shows(pattern, output, files, folders=in_folder) for pattern in patterns):
        return "images"
    if in_folder and dataset.targets and _holds(target_folder(dataset.targets), output):
        return "targets"
    return None


def _shows(pattern: str, output: str, files: Iterable[str], *, folders: bool) -> bool:
    if not has_wildcard(pattern):
        return any(_real(pattern) == _real(file) for file in files) or (
            folders and _holds(pattern, output)
        )
    matches = re.compile(glob_translate(_real(pattern)[1]))
    return any(
        protocol == protocol_of(pattern) and matches.match(path)
        for protocol, path in map(_real, files)
    )


def _holds(folder: str, output: str) -> bool:
    """Say whether a folder is an output folder or above it."""
    protocol, path = _real(folder)
    return protocol == protocol_of(output) and any(path == each for each in _above(output))


def _above(uri: str) -> Iterator[str]:
    path = _real(uri)[1]
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _real(uri: str) -> tuple[str, str]:
    """Return protocol and path; of a local path what it leads to, links and ".." resolved."""
    protocol, path = protocol_of(uri), uri.partition("://")[2].rstrip("/")
    return protocol, os.path.realpath(path).rstrip("/") if protocol == "file" else path
