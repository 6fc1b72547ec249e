"""A tar read from front to back, with its end checked."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

from pipeline.errors import ShardBrokenError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BUFFER_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class TarMember:
    """A regular file in a tar.

    Attributes:
        name: Its path in the tar; bytes that are no UTF-8 appear as backslash escapes.
        size_bytes: Its size.
        data: Its content; None if it was not wanted.
        attributes: Its extended (pax) attributes.
    """

    name: str
    size_bytes: int
    data: bytes | None
    attributes: dict[str, str]


def read_members(stream: IO[bytes], wanted: Callable[[str, int], bool]) -> Iterator[TarMember]:
    """Yield a tar's regular files in order; it may be compressed with gzip.

    Python's own iteration takes any end for the end of the archive. Here an archive ends with its
    end-of-archive block, and a compressed one with a checksum that is right.

    Args:
        stream: The file, read forward only.
        wanted: Says by name and size whether a member's content is to be read.

    Raises:
        ShardBrokenError: It breaks off, after the members that were read.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER_BYTES)
    compressed = buffered.peek(len(_GZIP_MAGIC))[:2] == _GZIP_MAGIC
    content = _Decompressed(buffered) if compressed else buffered
    try:
        yield from _members(content, wanted)
        if compressed:  # the checksum stands at the very end
            while content.read(_BUFFER_BYTES):
                pass
    except EOFError as error:
        raise ShardBrokenError(f"ends inside its gzip stream: {error}", at_end=True) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ShardBrokenError(f"its gzip stream is damaged: {error}", at_end=False) from error


class _Decompressed(io.RawIOBase):
    """What a gzip stream holds, given out as it comes: all that is before a damage is read."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream)

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, at most `size`; none at the end."""
        return self._gzip.read1(size)


def _members(content: io.IOBase, wanted: Callable[[str, int], bool]) -> Iterator[TarMember]:
    info, archive = _open(content)
    while info is not None:
        if info.isreg():
            name = _printable(info.name)
            data = _read(archive, info) if wanted(name, info.size) else None
            yield TarMember(name, info.size, data, dict(info.pax_headers))
        info = _next(archive)
    _check_end(archive)


def _open(content: io.IOBase) -> tuple[tarfile.TarInfo | None, tarfile.TarFile]:
    """Open the archive, which reads its first header."""
    try:
        archive = tarfile.open(  # noqa: SIM115 - the caller's stream is the caller's to close
            fileobj=cast("IO[bytes]", content), mode="r|", bufsize=_BUFFER_BYTES
        )
    except (tarfile.TarError, ValueError) as error:
        text = str(error)
        if text == "empty file":
            raise ShardBrokenError("is empty, not even an end of archive", at_end=True) from error
        raise ShardBrokenError(f"begins with no tar header: {text}", at_end=False) from error
    return archive.firstmember, archive  # type: ignore[attr-defined]  # typeshed lacks it


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """Return the next member's header, None at the end-of-archive block."""
    where = f"at byte {archive.offset}"
    try:
        archive.fileobj.seek(archive.offset)
        return tarfile.TarInfo.fromtarfile(archive)
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed lacks it
        return None
    except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
        reason = f"ends {where} without an end-of-archive block: members may be missing"
        raise ShardBrokenError(reason, at_end=True) from error
    except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
        raise ShardBrokenError(f"ends inside a member's header {where}", at_end=True) from error
    except (tarfile.TarError, ValueError) as error:
        reason = f"has a damaged header {where} ({error}): the members behind it are lost"
        raise ShardBrokenError(reason, at_end=False) from error


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse what lies behind the zeros that end an archive: a lost header, or another archive.

    A download that allocates its file beforehand and breaks off leaves zeros alone, but more of
    them than the writers of tars, who fill up records of 10,240 bytes.

    Raises:
        ShardBrokenError: Data follows, or zeros beyond the record.
    """
    end = archive.offset  # of the last member, where the first block of zeros begins
    stream = archive.fileobj
    place = stream.tell()  # behind that block
    while data := stream.read(_BUFFER_BYTES):
        if data.count(0) < len(data):
            first = place + len(data) - len(data.lstrip(b"\0"))
            raise ShardBrokenError(
                f"has a block of zeros at byte {end}, which ends an archive, and data behind it "
                f"from byte {first} on: a header is lost, or several archives were joined; members "
                "are missing",
                at_end=False,
            )
        place += len(data)
    due = -(-(end + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
    if place > due:
        raise ShardBrokenError(
            f"ends in {place - end} bytes of zeros from byte {end} on, {place - due} more than a "
            "tar ends with: members may be missing, as where a download broke off",
            at_end=False,
        )


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    try:
        file = archive.extractfile(info)
        data = file.read() if file else b""
    except tarfile.ReadError:  # "unexpected end of data"
        data = b""
    if len(data) != info.size:
        name = _printable(info.name)
        raise ShardBrokenError(f"ends inside the member {name}, of {info.size} bytes", at_end=True)
    return data


def _printable(name: str) -> str:
    """Return a name as valid text: tarfile decodes foreign bytes to lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
