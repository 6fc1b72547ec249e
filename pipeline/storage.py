"""Files and objects behind any fsspec URL: listing, reading, and writing without half files."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import StorageError
from pipeline.uris import glob_base, has_wildcard, protocol_of, shown

StorageOptions = Mapping[str, Mapping[str, Any]]

_STALE_TEMPORARY_S: Final = 24 * 3600
# One request per object: s3fs would otherwise ask for the size before each read.
_DEFAULT_OPTIONS: Final[StorageOptions] = {"s3": {"max_concurrency": 1}}


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it; `stamp` is its ETag, or else when it was modified."""

    uri: str
    size_bytes: int
    stamp: str


class Storage:
    """Access to every URI that a job names, on the driver and, pickled, on the workers.

    Args:
        options: Options by protocol, as fsspec takes them: `{"s3": {"endpoint_url": …}}`.
    """

    def __init__(self, options: StorageOptions | None = None) -> None:
        self.options = {name: dict(values) for name, values in (options or {}).items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.options,)  # file systems hold event loops: each process makes its own

    def read(self, uri: str) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: It is not there, or may not or cannot be read.
        """
        with _explained(uri):
            fs, path = self._locate(uri)
            return bytes(fs.cat_file(path))

    @contextlib.contextmanager
    def open(self, uri: str) -> Iterator[IO[bytes]]:
        """Open an object to read parts of it, as a Parquet reader does."""
        with _explained(uri):
            fs, path = self._locate(uri)
            with fs.open(path, "rb") as file:
                yield file

    def stat(self, uri: str) -> StoredObject:
        """Return an object's size and stamp, asked for anew.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: It may not or cannot be looked at.
        """
        try:
            fs, path = self._locate(uri)
            return _stored_object(fs, fs.info(path))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise _explain(uri, error) from error

    def exists(self, uri: str) -> bool:
        """Say whether an object is there."""
        try:
            self.stat(uri)
        except FileNotFoundError:
            return False
        return True

    def find(self, pattern: str) -> list[StoredObject]:
        """Return the files that match a glob, or lie below a folder, in byte order of their URIs.

        Raises:
            StorageError: The bucket or folder is not there, or may not or cannot be listed.
        """
        with _explained(pattern):
            fs, path = self._locate(pattern)
            list_below = fs.glob if has_wildcard(path) else fs.find
            found = list_below(path, detail=True, **_listing_options(fs, path))
            if not found:
                fs.ls(glob_base(path), detail=False)  # raises if there is no such folder
            files = [_stored_object(fs, info) for info in found.values() if info["type"] == "file"]
        return sorted(files, key=lambda file: os.fsencode(file.uri))

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder, sorted; none if it is not there.

        Raises:
            StorageError: It may not or cannot be listed.
        """
        with _explained(folder):
            fs, path = self._locate(folder)
            try:
                entries = fs.ls(path, detail=True)
            except FileNotFoundError:
                return []
            return sorted(
                entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "file"
            )

    def write(self, uri: str, data: bytes) -> None:
        """Put an object in place, whole or not at all, replacing one that is there.

        Raises:
            StorageError: It may not or cannot be written.
        """
        with _explained(uri):
            fs, path = self._locate(uri)
            if isinstance(fs, LocalFileSystem):
                with _temporary_file(Path(path), data) as temporary:
                    temporary.replace(path)
            else:
                fs.pipe_file(path, data)

    def create(self, uri: str, data: bytes) -> bool:
        """Put an object in place unless there is one; of two writers at once exactly one does.

        Returns:
            Whether this call created it.

        Raises:
            StorageError: It may not or cannot be written.
        """
        with _explained(uri):
            fs, path = self._locate(uri)
            try:
                if isinstance(fs, LocalFileSystem):
                    with _temporary_file(Path(path), data) as temporary:
                        os.link(temporary, path)
                else:
                    fs.pipe_file(path, data, mode="create")
            except Exception as error:
                if not _says_exists(error):
                    raise
                return False
            return True

    def sweep_temporaries(self, folder: str) -> None:
        """Remove what writers killed in mid-write left in a local folder more than a day ago."""
        fs, path = self._locate(folder)
        if isinstance(fs, LocalFileSystem) and Path(path).is_dir():
            for temporary in Path(path).rglob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):  # another run sweeps as well
                    if time.time() - temporary.stat().st_mtime > _STALE_TEMPORARY_S:
                        temporary.unlink()

    def _locate(self, uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
        protocol = protocol_of(uri)
        if protocol not in self._filesystems:
            options = {**_DEFAULT_OPTIONS.get(protocol, {}), **self.options.get(protocol, {})}
            # Own instances without listing caches: what a listing shows must be there now.
            self._filesystems[protocol], _ = url_to_fs(
                uri, use_listings_cache=False, skip_instance_cache=True, **options
            )
        fs = self._filesystems[protocol]
        return fs, str(fs._strip_protocol(uri))  # noqa: SLF001 - fsspec has no public name for it

    @cached_property
    def _filesystems(self) -> dict[str, fsspec.AbstractFileSystem]:
        return {}


def _listing_options(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any]:
    """Make a folder that cannot be listed an error: fsspec would leave its files out silently.

    S3 is walked folder by folder only for a glob without `**`; its flat listings raise anyway.
    """
    on_s3 = "s3" in fs.protocol
    walks_s3 = on_s3 and has_wildcard(path) and "**" not in path
    return {"on_error": "raise"} if walks_s3 or isinstance(fs, LocalFileSystem) else {}


def _stored_object(fs: fsspec.AbstractFileSystem, info: Mapping[str, Any]) -> StoredObject:
    stamp = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified")
    return StoredObject(
        uri=str(fs.unstrip_protocol(info["name"])),
        size_bytes=int(info["size"] or 0),
        stamp=str(stamp or "").strip('"'),
    )


@contextlib.contextmanager
def _temporary_file(path: Path, data: bytes) -> Iterator[Path]:
    """Write `data` beside `path`, flushed to disk; what is left of it in the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn what a file system raises into a StorageError that says what to do."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise _explain(uri, error) from error


def _explain(uri: str, error: Exception) -> StorageError:
    text = f"{type(error).__name__}: {error}"
    where = f"the storage_options of {protocol_of(uri)!r}"
    if isinstance(error, FileNotFoundError) or "NoSuchBucket" in text:
        bucket = protocol_of(uri) != "file"
        reason = "no such bucket or object" if bucket else "no such file or folder"
        return StorageError(shown(uri), f"{reason}; check the name" + (f" and {where}" * bucket))
    if isinstance(error, PermissionError) or _mentions(text, ("403", "AccessDenied", "Forbidden")):
        return StorageError(
            shown(uri),
            f"access denied ({error}); check the credentials in the environment and what they "
            "may do here",
        )
    if _mentions(text, ("NoCredentials", "Unable to locate credentials")):
        return StorageError(
            shown(uri),
            "no credentials found; set them in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or an instance role)",
        )
    if _mentions(text, ("EndpointConnectionError", "ConnectionRefused", "Cannot connect to host")):
        return StorageError(shown(uri), f"cannot be reached ({error}); check {where}")
    return StorageError(shown(uri), text)


def _says_exists(error: Exception) -> bool:
    """Say whether a create-if-absent failed because another writer was first."""
    return isinstance(error, FileExistsError) or _mentions(
        f"{type(error).__name__}: {error}", ("PreconditionFailed", "412", "pre-condition")
    )


def _mentions(text: str, words: Sequence[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)
