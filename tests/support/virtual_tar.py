"""A tar of any size that exists nowhere: an HTTP server on loopback makes up what is asked for.

It runs as a process of its own: `python virtual_tar.py GIGABYTES`, and prints its URL.
"""

import contextlib
import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

MEMBER_BYTES: Final = 2 << 20  # of a member, its header and padding included
_CONTENT_BYTES: Final = MEMBER_BYTES - 512
_END: Final = bytes(1024)


@contextlib.contextmanager
def running_virtual_tar(gigabytes: float) -> Iterator[str]:
    """Serve a tar of about so many gigabytes; yield its URL."""
    command = [sys.executable, str(Path(__file__)), str(gigabytes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield (process.stdout or io.StringIO()).readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=20)


def members_in(gigabytes: float) -> int:
    """Return how many images such a tar has."""
    return int(gigabytes * 1e9) // MEMBER_BYTES


def member(number: int) -> tuple[bytes, bytes]:
    """Return a member's header and content: a small JPEG, behind which nothing is to be read."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((64, 48)).save(buffer, "JPEG")
    info = tarfile.TarInfo(f"{number:09d}.jpg")
    info.size = _CONTENT_BYTES
    return info.tobuf(tarfile.GNU_FORMAT), buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    members = 0
    zeros = memoryview(bytes(MEMBER_BYTES))

    def do_HEAD(self) -> None:
        self._head(200, self._size())

    def do_GET(self) -> None:
        size = self._size()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1 if asked and asked[2] else size, size)
        self._head(206, end - start, f"bytes {start}-{end - 1}/{size}")
        while start < end:
            number, offset = divmod(start, MEMBER_BYTES)
            piece = self._piece(number, offset)[: end - start]
            self.wfile.write(piece)
            start += len(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _size(self) -> int:
        return self.members * MEMBER_BYTES + len(_END)

    def _head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.md5(str(self.members).encode()).hexdigest()}"')  # noqa: S324
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _piece(self, number: int, offset: int) -> memoryview:
        """Return some of a member from an offset on: of what is written, or of the zeros."""
        if number == self.members:
            return memoryview(_END)[offset:]
        written = b"".join(member(number)) if offset < 64 << 10 else b""
        if offset < len(written):
            return memoryview(written)[offset:]
        return self.zeros[: MEMBER_BYTES - offset]


if __name__ == "__main__":
    _Handler.members = members_in(float(sys.argv[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}/large.tar", flush=True)  # noqa: T201
    server.serve_forever()
