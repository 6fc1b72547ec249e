"""A stand-in for S3 with any number of synthetic objects: ListObjectsV2, GET and HEAD on loopback.

It runs as a process of its own, so that what is measured beside it keeps its GIL to itself.
"""

import argparse
import asyncio
import contextlib
import functools
import io
import re
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from PIL import Image

BUCKET: Final = "millions"
FORBIDDEN_BUCKET: Final = "forbidden"  # answers every request with 403
BROKEN_BUCKET: Final = "breaks-off"  # lists one page, and answers with 403 from then on
FOLDER: Final = "pictures"

_STOP_TIMEOUT_S: Final = 20
_MAX_KEYS: Final = 1000
_ENTRY: Final = (
    "<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    "<ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_LISTING: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
    "<Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{max_keys}</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{token}{contents}"
    "</ListBucketResult>"
)


@dataclass(frozen=True)
class ListingServer:
    """A running server."""

    endpoint_url: str
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a client finds the server; it takes any credentials."""
        return {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextlib.contextmanager
def running_listing_server(num_objects: int) -> Iterator[ListingServer]:
    """Start a server of so many objects in a process of its own; end it by its id."""
    command = [sys.executable, str(Path(__file__).resolve()), str(num_objects)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline())  # written once it listens
            yield ListingServer(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(timeout=_STOP_TIMEOUT_S)


def object_key(number: int) -> str:
    """Return an object's key; their byte order is that of the numbers."""
    return f"{FOLDER}/{number:09d}.jpg"


def object_etag(number: int) -> str:
    """Return an object's ETag, without its quotes."""
    return f"{number:032x}"


def object_size_bytes(number: int) -> int:
    """Return an object's size, which has 97 values."""
    return len(_picture()) + 13 + number % 97


def object_bytes(number: int) -> bytes:
    """Return an object: a small JPEG, the same for all but for a comment with its number."""
    comment = b"%09d" % number + b" " * (number % 97)
    length = (len(comment) + 2).to_bytes(2, "big")
    return _picture()[:2] + b"\xff\xfe" + length + comment + _picture()[2:]


@functools.cache
def _picture() -> bytes:
    encoded = io.BytesIO()
    Image.linear_gradient("L").resize((32, 24)).convert("RGB").save(encoded, "JPEG")
    return encoded.getvalue()


class _Connection(asyncio.Protocol):
    """One client's connection, kept open: requests have no bodies and are answered in turn."""

    def __init__(self, num_objects: int) -> None:
        self._numbers = range(num_objects)
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            answer = self._answer(head.decode("latin-1"))
            if head.startswith(b"HEAD "):  # what GET would answer, without the body
                answer = answer[: answer.index(b"\r\n\r\n") + 4]
            self._transport.write(answer)

    def _answer(self, head: str) -> bytes:
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        url = urlsplit(target)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        broken = bucket == BROKEN_BUCKET and "continuation-token" in query
        if bucket == FORBIDDEN_BUCKET or broken:
            return _error("403 Forbidden", "AccessDenied")
        if bucket not in {BUCKET, BROKEN_BUCKET}:
            return _error("404 Not Found", "NoSuchBucket")
        if method not in {"GET", "HEAD"}:
            return _error("405 Method Not Allowed", "MethodNotAllowed")
        if not key:
            return _response("200 OK", self._listing(bucket, query), "application/xml")
        return self._object(key, head)

    def _listing(self, bucket: str, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        max_keys = min(int(query.get("max-keys", _MAX_KEYS)), _MAX_KEYS)
        start = bisect_left(self._numbers, prefix, key=object_key)
        start = max(start, int(query.get("continuation-token", 0)))
        end = bisect_left(self._numbers, f"{prefix}\U0010ffff", key=object_key)
        page = range(start, min(start + max_keys, end))
        folder, slash, _ = f"{FOLDER}/"[len(prefix) :].partition(delimiter or "\0")
        if page and slash:  # every key has the same folder
            page = range(end - 1, end)
            common = quote(prefix + folder + slash)
            contents = f"<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"
        else:
            contents = "".join(
                [_ENTRY % (object_key(n), object_etag(n), object_size_bytes(n)) for n in page]
            )
        more = bool(page) and page.stop < end
        token = f"<NextContinuationToken>{page.stop}</NextContinuationToken>" if more else ""
        return _LISTING.format(
            bucket=bucket,
            prefix=quote(prefix),
            count=len(page),
            max_keys=max_keys,
            truncated=str(more).lower(),
            token=token,
            contents=contents,
        ).encode()

    def _object(self, key: str, head: str) -> bytes:
        number = bisect_left(self._numbers, key, key=object_key)
        if number >= len(self._numbers) or object_key(number) != key:
            return _error("404 Not Found", "NoSuchKey")
        data = object_bytes(number)
        headers = f'ETag: "{object_etag(number)}"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT'
        asked = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
        if not asked:
            return _response("200 OK", data, "image/jpeg", headers)
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        headers += f"\r\nContent-Range: bytes {first}-{last}/{len(data)}"
        body = data[first : last + 1]
        return _response("206 Partial Content", body, "image/jpeg", headers)


def _error(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return _response(status, body, "application/xml")


def _response(status: str, body: bytes, kind: str, headers: str = "X-Stand-In: 1") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
    return head.encode() + b"\r\n\r\n" + body


async def _serve(num_objects: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(num_objects), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num_objects", type=int)
    asyncio.run(_serve(parser.parse_args().num_objects))
