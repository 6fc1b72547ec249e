"""The listing of what matches a pattern: pages of files, so that a million need little memory."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from fsspec import AbstractFileSystem
from fsspec.asyn import sync
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipeline.storage.retries import Attempt
from pipeline.storage.uris import glob_base, has_wildcard

_PAGE_FILES: Final = 1000  # as many as S3 puts into an answer
_TEMPORARY: Final = re.compile(r"\..*\.tmp")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it; `stamp` is its ETag, or else when it was modified."""

    uri: str
    size_bytes: int
    stamp: str


@dataclass(frozen=True)
class _Selection:
    """Which files to list; paths are without protocol.

    Args:
        folder: What they all lie below.
        prefix: What their paths all start with; the folder with "/" or more than that.
        levels: How deep below the folder they lie at most; None is any depth.
        pattern: What their paths match; None is every path.
    """

    folder: str
    prefix: str
    levels: int | None = None
    pattern: re.Pattern[str] | None = None

    def has(self, path: str) -> bool:
        return self.pattern is None or self.pattern.match(path) is not None


def list_pages(fs: AbstractFileSystem, path: str, attempt: Attempt) -> Iterator[list[StoredObject]]:
    """List the files that match a glob, or lie below a folder, or the one file of that name.

    Args:
        fs: Where to look.
        path: A glob or a name, without protocol.
        attempt: Makes each request.

    Yields:
        At most 1000 files at a time, never none, in the storage's own order.

    Raises:
        FileNotFoundError: There is no such file or folder, or no folder above the first wildcard.
        OSError: Something below it cannot be listed.
    """
    if has_wildcard(path):
        yield from _select(fs, _matching(path), attempt)
        return
    try:
        yield from _select(fs, _Selection(path, f"{path.rstrip('/')}/"), attempt)
    except (FileNotFoundError, NotADirectoryError):
        info = attempt(lambda: fs.info(path))
        if info["type"] != "file":
            raise
        yield [stored_object(fs, info)]


def list_names(fs: AbstractFileSystem, folder: str, attempt: Attempt) -> Iterator[str]:
    """List the names of the files directly in a folder, which need not be there.

    Raises:
        OSError: It cannot be listed.
    """
    try:
        selection = _Selection(folder, f"{folder.rstrip('/')}/", levels=1)
        for page in _select(fs, selection, attempt):
            yield from (file.uri.rpartition("/")[2] for file in page)
    except FileNotFoundError:
        return


def stored_object(fs: AbstractFileSystem, info: Mapping[str, Any]) -> StoredObject:
    """Return an object of which a file system knows this."""
    stamp = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified")
    return StoredObject(
        uri=str(fs.unstrip_protocol(info["name"])),
        size_bytes=int(info["size"] or 0),
        stamp=str(stamp or "").strip('"'),
    )


def _matching(glob: str) -> _Selection:
    folder = glob_base(glob)
    literal = re.split(r"[*?[]", glob, maxsplit=1)[0]
    levels = None if "**" in glob else glob.count("/", len(folder))
    return _Selection(folder or "/", literal, levels, re.compile(glob_translate(glob)))


def _select(
    fs: AbstractFileSystem, selection: _Selection, attempt: Attempt
) -> Iterator[list[StoredObject]]:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    if "s3" in protocols:
        return _s3_pages(fs, selection, attempt)
    if isinstance(fs, LocalFileSystem):
        return _in_pages(_local_files(selection))
    return _in_pages(_other_files(fs, selection, attempt))


def _in_pages(files: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    remaining = iter(files)
    while page := list(islice(remaining, _PAGE_FILES)):
        yield page


def _s3_pages(
    fs: AbstractFileSystem, selection: _Selection, attempt: Attempt
) -> Iterator[list[StoredObject]]:
    if "/" not in selection.prefix:
        raise ValueError("the name of a bucket cannot be a pattern; name it in full")
    bucket, prefix, _ = fs.split_path(selection.prefix)
    request = {"Bucket": bucket, "Prefix": prefix, **fs.req_kw}
    if selection.levels == 1:
        request["Delimiter"] = "/"
    sync(fs.loop, _parse_listings_fast, fs, bucket)
    found = False
    while True:
        answer = attempt(lambda: fs.call_s3("list_objects_v2", **request))
        found = found or "Contents" in answer or "CommonPrefixes" in answer
        if page := _s3_objects(answer.get("Contents", ()), bucket, selection):
            yield page
        if not answer.get("IsTruncated"):
            break
        request["ContinuationToken"] = answer["NextContinuationToken"]
    if not found:
        _check_s3_folder(fs, selection.folder, attempt)


def _s3_objects(
    contents: Iterable[Mapping[str, Any]], bucket: str, selection: _Selection
) -> list[StoredObject]:
    return [
        StoredObject(f"s3://{bucket}/{key}", size_bytes, entry.get("ETag", "").strip('"'))
        for entry in contents
        for key, size_bytes in [(entry["Key"], entry["Size"])]
        # Consoles mark folders by empty objects of their names.
        if (size_bytes or not key.endswith("/")) and selection.has(f"{bucket}/{key}")
    ]


def _check_s3_folder(fs: AbstractFileSystem, folder: str, attempt: Attempt) -> None:
    """Raise FileNotFoundError if nothing lies below a folder; an empty bucket is there."""
    bucket, key, _ = fs.split_path(folder)
    if key:
        request = {"Bucket": bucket, "Prefix": f"{key}/", "MaxKeys": 1, **fs.req_kw}
        if "Contents" not in attempt(lambda: fs.call_s3("list_objects_v2", **request)):
            raise FileNotFoundError(folder)


async def _parse_listings_fast(fs: Any, bucket: str) -> None:
    """Have a client's listings parsed by `_parse_contents`, in a third of botocore's time."""
    await fs.set_session()
    client = await fs.get_s3(bucket)
    client.meta.events.register_first(
        "before-parse.s3.ListObjectsV2", _parse_contents, unique_id="refinenet-batch"
    )


def _parse_contents(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Take the objects out of an answer before botocore parses it; the rest is left to botocore.

    It would build the XML tree twice, and spend most of its time on `LastModified`. Whatever is
    no whole listing is left to it entirely, for it knows what to try again.
    """
    try:
        root = ET.fromstring(response_dict["body"])  # noqa: S314 - as botocore does itself
    except ET.ParseError:
        return
    namespace, is_listing, _rest = root.tag.partition("ListBucketResult")
    entries = root.findall(f"{namespace}Contents") if is_listing else []
    if entries:
        customized_response_dict["Contents"] = [
            {
                "Key": entry.findtext(f"{namespace}Key", ""),
                "Size": int(entry.findtext(f"{namespace}Size", "0")),
                "ETag": entry.findtext(f"{namespace}ETag", ""),
            }
            for entry in entries
        ]
        root[:] = [child for child in root if child.tag != f"{namespace}Contents"]
        response_dict["body"] = ET.tostring(root)


def _local_files(selection: _Selection) -> Iterator[StoredObject]:
    """Walk a folder, links to other folders as well unless they lead back to one above."""
    remaining = [(selection.folder, 1, frozenset[tuple[int, int]]())]
    while remaining:
        folder, level, above = remaining.pop()
        status = Path(folder).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if selection.levels is None or level < selection.levels:
                        remaining.append((entry.path, level + 1, above | {identity}))
                elif selection.has(entry.path) and (file := _local_object(entry)):
                    yield file


def _local_object(entry: os.DirEntry[str]) -> StoredObject | None:
    if _TEMPORARY.fullmatch(entry.name):
        return None
    try:
        status = entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():
            return None  # removed meanwhile
        status = entry.stat(follow_symlinks=False)  # a broken link is listed, and fails when read
    else:
        if not stat.S_ISREG(status.st_mode):
            return None
    return StoredObject(f"file://{entry.path}", status.st_size, str(status.st_mtime))


def _other_files(
    fs: AbstractFileSystem, selection: _Selection, attempt: Attempt
) -> Iterator[StoredObject]:
    """Walk with `ls`: fsspec's own `walk` leaves out subfolders that cannot be listed."""
    remaining = [(selection.folder, 1)]
    while remaining:
        folder, level = remaining.pop()
        for info in attempt(partial(fs.ls, folder, detail=True)):
            path = info["name"].rstrip("/")
            if info["type"] == "directory":
                below = path != folder.rstrip("/")  # some stores list a folder in itself
                if below and (selection.levels is None or level < selection.levels):
                    remaining.append((path, level + 1))
            elif selection.has(path):
                yield stored_object(fs, info)
