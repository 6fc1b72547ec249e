"""Files and objects behind any fsspec URL: listing, reading, and writing without half files."""

import contextlib
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import StorageError
from pipeline.storage.error_messages import explained, says_exists
from pipeline.storage.listing import StoredObject, list_names, list_pages, stored_object
from pipeline.storage.retries import RETRIES, Attempt, ShortReadError
from pipeline.storage.uris import PROTOCOLS, protocol_of, shown

T = TypeVar("T")

StorageOptions = Mapping[str, Mapping[str, Any]]

_STALE_TEMPORARY_S: Final = 24 * 3600
_OUR_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)
_DEFAULT_OPTIONS: Final[StorageOptions] = {
    "s3": {
        # One request per object: s3fs would otherwise ask for the size before each read.
        "max_concurrency": 1,
        # Ours are the only retries, so that they are counted and bounded as a whole.
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
}
# Faster than "readahead" by a fifth where the reader has work to do, for a block more of memory.
_IN_ORDER: Final = {"cache_type": "background", "cache_options": {"maxblocks": 2}}


class Storage:
    """Access to every URI that a job names, on the driver and, pickled, on the workers.

    Faults that pass are tried again, see `storage.retries`; a StorageError is what is left.

    Args:
        options: Options by protocol, as fsspec takes them: `{"s3": {"endpoint_url": …}}`.
        answered: Protocols whose storages have answered before.
    """

    def __init__(
        self, options: StorageOptions | None = None, answered: Collection[str] = ()
    ) -> None:
        self.options = {name: dict(values) for name, values in (options or {}).items()}
        self._answered = set(answered)

    def __reduce__(self) -> tuple[Any, ...]:
        # File systems hold event loops: each process makes its own.
        return Storage, (self.options, sorted(self._answered))

    def read(self, uri: str) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: It is not there, or may not or cannot be read.
        """
        return self._do(uri, lambda fs, path: bytes(fs.cat_file(path)))

    def read_if_there(self, uri: str) -> bytes | None:
        """Return an object's bytes, None if there is no such object.

        Raises:
            StorageError: It may not or cannot be read.
        """
        try:
            return self.read(uri)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    @contextlib.contextmanager
    def open(self, uri: str, *, block_bytes: int | None = None) -> Iterator[IO[bytes]]:
        """Open an object to read parts of it, as a Parquet reader does, or all of it in order.

        Args:
            uri: Where it is.
            block_bytes: How much to ask for at a time, for reading in order: the next block is
                fetched while one is read, and no more are kept. The default suits reading here
                and there; local files are read as they are.
        """
        with explained(uri):
            fs, _ = self._locate(uri)
            plain = block_bytes is None or isinstance(fs, LocalFileSystem)
            options = {} if plain else {"block_size": block_bytes, **_IN_ORDER}
            with self._do(uri, lambda fs, path: fs.open(path, "rb", **options)) as file:
                cache = getattr(file, "cache", None)  # what fetches; a local file has none
                if cache is not None:
                    cache.fetcher = partial(self._fetch, uri, cache.fetcher, cache.size)
                yield file

    def stat(self, uri: str) -> StoredObject:
        """Return an object's size and stamp, asked for anew.

        Raises:
            FileNotFoundError: There is no such object; a folder is none.
            StorageError: It may not or cannot be looked at.
        """
        info = self._do(uri, _info)
        if info is None or info["type"] == "directory":
            raise FileNotFoundError(f"{shown(uri)} is {'a folder' if info else 'not there'}")
        return stored_object(self._locate(uri)[0], info)

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
        with explained(pattern):
            yield from list_pages(*self._locate(pattern), self._attempt(pattern))

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
        with explained(folder):
            return sorted(list_names(*self._locate(folder), self._attempt(folder)))

    def write(self, uri: str, data: bytes) -> None:
        """Put an object in place, whole or not at all, replacing one that is there.

        Raises:
            StorageError: It may not or cannot be written.
        """

        def put(fs: AbstractFileSystem, path: str) -> None:
            if isinstance(fs, LocalFileSystem):
                with _temporary_file(Path(path), data) as temporary:
                    temporary.replace(path)
            else:
                fs.pipe_file(path, data)

        self._do(uri, put)

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
                if local:
                    name.replace(path)
                else:  # its pieces become an object at the end
                    self._do(uri, lambda fs, path: fs.put_file(str(name), path))
            finally:
                name.unlink(missing_ok=True)

    def create(self, uri: str, data: bytes) -> bool:
        """Put an object in place unless there is one; of two writers at once exactly one does.

        Returns:
            Whether this call created it.

        Raises:
            StorageError: It may not or cannot be written.
        """

        def put(fs: AbstractFileSystem, path: str) -> bool:
            if isinstance(fs, LocalFileSystem):
                with _temporary_file(Path(path), data) as temporary:
                    return _linked(temporary, path)
            try:
                fs.pipe_file(path, data, mode="create")
            except Exception as error:
                if not says_exists(error):
                    raise
                return False
            return True

        return self._do(uri, put)

    def remove(self, uri: str) -> None:
        """Delete an object; it may be gone already.

        Raises:
            StorageError: It may not or cannot be deleted.
        """

        def take_away(fs: AbstractFileSystem, path: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(path)

        self._do(uri, take_away)

    def sweep_temporaries(self, folder: str) -> None:
        """Remove what writers killed in mid-write left in a local folder more than a day ago."""
        fs, path = self._locate(folder)
        if isinstance(fs, LocalFileSystem) and Path(path).is_dir():
            for temporary in Path(path).rglob(".*.tmp"):
                if not _OUR_TEMPORARY.fullmatch(temporary.name):
                    continue
                with contextlib.suppress(FileNotFoundError):  # another run sweeps as well
                    if time.time() - temporary.stat().st_mtime > _STALE_TEMPORARY_S:
                        temporary.unlink()

    def _do(self, uri: str, operation: Callable[[AbstractFileSystem, str], T]) -> T:
        """Do something at a URI, again if need be; operations may be done twice."""
        with explained(uri):
            fs, path = self._locate(uri)
            return self._attempt(uri)(lambda: operation(fs, path))

    def _attempt(self, uri: str) -> Attempt:
        """Return what makes requests to a URI's storage, each again if need be."""
        protocol = protocol_of(uri)

        def attempt(request: Callable[[], T]) -> T:
            result = RETRIES.run(request, protocol, answered=protocol in self._answered)
            self._answered.add(protocol)
            return result

        return attempt

    def _fetch(
        self, uri: str, fetch: Callable[[int, int], bytes], size: int, start: int, end: int
    ) -> bytes:
        """Read some bytes of an open object; fewer than asked for are a fault that passes."""

        def whole(_fs: AbstractFileSystem, _path: str) -> bytes:
            data = fetch(start, end)
            asked = max(0, min(end, size) - start)
            if len(data) < asked:
                raise ShortReadError(f"gave {len(data)} bytes where {asked} were asked for")
            return data

        return self._do(uri, whole)

    def _locate(self, uri: str) -> tuple[AbstractFileSystem, str]:
        protocol = protocol_of(uri)
        if protocol not in self._filesystems:
            options = _merged(_DEFAULT_OPTIONS.get(protocol, {}), self.options.get(protocol, {}))
            if protocol not in PROTOCOLS | {"memory"}:
                known = ", ".join(sorted(PROTOCOLS))
                raise StorageError(shown(uri), f"{protocol!r} is no protocol of a storage: {known}")
            # Own instances without listing caches: what a listing shows must be there now.
            options |= {"use_listings_cache": False, "skip_instance_cache": True}
            # Of the URI only the host: fsspec would take "::" in a name for a chain of storages.
            fs, _ = url_to_fs("/".join(uri.split("/", 3)[:3]), **options)
            if protocol == "s3":
                fs.retries = 1  # s3fs would try five times, uncounted
            self._filesystems[protocol] = fs
        fs = self._filesystems[protocol]
        return fs, str(fs._strip_protocol(uri))  # noqa: SLF001 - fsspec has no public name for it

    @cached_property
    def _filesystems(self) -> dict[str, AbstractFileSystem]:
        return {}


def _info(fs: AbstractFileSystem, path: str) -> Mapping[str, Any] | None:
    try:
        info: Mapping[str, Any] = fs.info(path)
    except FileNotFoundError:
        return None
    return info


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of which those given win, one level down as well."""
    return {
        name: {**defaults[name], **given[name]}
        if isinstance(defaults.get(name), dict) and isinstance(given.get(name), dict)
        else given.get(name, defaults.get(name))
        for name in {**defaults, **given}
    }


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


def _linked(temporary: Path, path: str) -> bool:
    """Give a file a second name; return whether that was free."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
