"""Files and objects behind any fsspec URL: listing, reading, and writing without half files."""

import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import fsspec
import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import ShardBrokenError, StorageError
from pipeline.listing import StoredObject, list_names, list_pages, stored_object
from pipeline.uris import protocol_of, shown

__all__ = ["Storage", "StorageOptions", "StoredObject"]

# What readers of an open file raise about its content: that is not the storage's.
_OF_THE_READER: Final = (ShardBrokenError, pa.ArrowException)
StorageOptions = Mapping[str, Mapping[str, Any]]

_STALE_TEMPORARY_S: Final = 24 * 3600
# One request per object: s3fs would otherwise ask for the size before each read.
_DEFAULT_OPTIONS: Final[StorageOptions] = {"s3": {"max_concurrency": 1}}
# Faster than "readahead" by a fifth where the reader has work to do, for a block more of memory.
_IN_ORDER: Final = {"cache_type": "background", "cache_options": {"maxblocks": 2}}


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
    def open(self, uri: str, *, block_bytes: int | None = None) -> Iterator[IO[bytes]]:
        """Open an object to read parts of it, as a Parquet reader does, or all of it in order.

        Args:
            uri: Where it is.
            block_bytes: How much to ask for at a time, for reading in order: the next block is
                fetched while one is read, and no more are kept. The default suits reading here
                and there; local files are read as they are.
        """
        with _explained(uri):
            fs, path = self._locate(uri)
            plain = block_bytes is None or isinstance(fs, LocalFileSystem)
            options = {} if plain else {"block_size": block_bytes, **_IN_ORDER}
            with fs.open(path, "rb", **options) as file:
                yield file

    def stat(self, uri: str) -> StoredObject:
        """Return an object's size and stamp, asked for anew.

        Raises:
            FileNotFoundError: There is no such object; a folder is none.
            StorageError: It may not or cannot be looked at.
        """
        try:
            fs, path = self._locate(uri)
            info = fs.info(path)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise _explain(uri, error) from error
        if info["type"] == "directory":
            raise FileNotFoundError(f"{shown(uri)} is a folder")
        return stored_object(fs, info)

    def exists(self, uri: str) -> bool:
        """Say whether an object is there."""
        try:
            self.stat(uri)
        except FileNotFoundError:
            return False
        return True

    def pages(self, pattern: str) -> Iterator[list[StoredObject]]:
        """List page by page what matches a glob, or lies below a folder, or is the one such file.

        Yields:
            At most 1000 files at a time, in the storage's own order: a million need no more memory
            than a thousand.

        Raises:
            StorageError: The bucket or folder is not there, or may not or cannot be listed.
        """
        with _explained(pattern):
            yield from list_pages(*self._locate(pattern))

    def find(self, pattern: str) -> list[StoredObject]:
        """Return all that `pages` lists, at once and in byte order of the URIs.

        Raises:
            StorageError: The bucket or folder is not there, or may not or cannot be listed.
        """
        files = [file for page in self.pages(pattern) for file in page]
        return sorted(files, key=lambda file: os.fsencode(file.uri))

    def names(self, folder: str) -> list[str]:
        """Return the names of the files directly in a folder, sorted; none if it is not there.

        Raises:
            StorageError: It may not or cannot be listed.
        """
        with _explained(folder):
            return sorted(list_names(*self._locate(folder)))

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

    @contextlib.contextmanager
    def write_file(self, uri: str) -> Iterator[IO[bytes]]:
        """Put what is written to a local temporary file in place, whole or not at all.

        For what is too large to be built in memory. An exception in the block leaves nothing.
        """
        fs, path = self._locate(uri)
        local = isinstance(fs, LocalFileSystem)
        if local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            name = _temporary_name(Path(path) if local else Path(scratch) / "object")
            try:
                with name.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                with _explained(uri):
                    if local:
                        name.replace(path)
                    else:
                        fs.put_file(str(name), path)  # its pieces become an object at the end
            finally:
                name.unlink(missing_ok=True)

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

    def remove(self, uri: str) -> None:
        """Delete an object; it may be gone already.

        Raises:
            StorageError: It may not or cannot be deleted.
        """
        with _explained(uri), contextlib.suppress(FileNotFoundError):
            fs, path = self._locate(uri)
            fs.rm_file(path)

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


@contextlib.contextmanager
def _temporary_file(path: Path, data: bytes) -> Iterator[Path]:
    """Write `data` beside `path`, flushed to disk; what is left of it in the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn what a file system raises into a StorageError that says what to do."""
    try:
        yield
    except (StorageError, *_OF_THE_READER):
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
    if isinstance(error, TypeError | ValueError):  # an option that the file system does not know
        return StorageError(shown(uri), f"{text}; check {where}")
    return StorageError(shown(uri), text)


def _says_exists(error: Exception) -> bool:
    """Say whether a create-if-absent failed because another writer was first."""
    return isinstance(error, FileExistsError) or _mentions(
        f"{type(error).__name__}: {error}", ("PreconditionFailed", "412", "pre-condition")
    )


def _mentions(text: str, words: Sequence[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)
