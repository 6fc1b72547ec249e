"""An HTTP proxy in front of an S3 server that fails or cuts some of the requests."""

import http.client
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

# What happens to an unlucky request, and whether it reaches the server.
FAULTS = (
    "internal_error",  # 500, no
    "slow_down",  # 503, no
    "reset",  # connection reset, no
    "delay",  # answered late, yes
    "cut_upload",  # half of the body, then nothing more; never, if there is none
    "cut_answer",  # yes, but half of the answer's body comes back; if it has none, nothing does
)
_WITHOUT_UPLOAD = tuple(fault for fault in FAULTS if fault != "cut_upload")

_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'
)
_DELAY_S = (0.2, 2.0)
_TIMEOUT_S = 60
_NOT_FORWARDED = {"expect", "connection", "keep-alive", "transfer-encoding"}  # hop by hop


class FaultyProxy:
    """A proxy on loopback, running while the context is entered.

    Args:
        upstream_url: The S3 server. Signatures cover the header Host, so that is passed on as the
            client sent it.
        seed: Decides which requests are hit, counted in the order of their arrival, and how.
        rate: Fraction of the requests that are hit.

    Attributes:
        requests: Requests that arrived.
        seen: Their methods and paths.
        faults: Faults done, by kind.
        errors: What went wrong in the proxy itself.
    """

    def __init__(self, upstream_url: str, *, seed: int, rate: float = 0.05) -> None:
        self.upstream = urlsplit(upstream_url).netloc
        self.requests = 0
        self.seen: list[tuple[str, str]] = []
        self.faults: Counter[str] = Counter()
        self.errors: list[BaseException | None] = []
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not secret
        self._rate = rate
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def endpoint_url(self) -> str:
        """Address of the proxy, for clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def draw(self, *, upload: bool) -> tuple[str | None, float]:
        """Decide on the next request, and count it: its fault, if any, and a delay in seconds."""
        with self._lock:
            self.requests += 1
            unlucky = self._random.random() < self._rate
            fault = self._random.choice(FAULTS if upload else _WITHOUT_UPLOAD)
            delay_s = self._random.uniform(*_DELAY_S)
            if unlucky:
                self.faults[fault] += 1
            return (fault if unlucky else None), delay_s


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: FaultyProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request, client_address) -> None:
        del request, client_address
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):  # clients are killed in these tests
            self.proxy.errors.append(error)

    def shutdown_request(self, request) -> None:
        self.close_request(request)  # without the farewell that would turn a reset into an end


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_request(self) -> None:
        """Pass one request on, or do to it what was drawn."""
        if "Transfer-Encoding" in self.headers:
            raise ValueError(f"{self.requestline}: a body without a length has no half to cut")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.proxy.seen.append((self.command, self.path))
        fault, delay_s = self.server.proxy.draw(upload=bool(body))
        if fault == "internal_error":
            self._refuse(500, "InternalError", "We encountered an internal error.")
        elif fault == "slow_down":
            self._refuse(503, "SlowDown", "Please reduce your request rate.")
        elif fault == "reset":
            self._reset()
        elif fault == "cut_upload":
            self._upload(body[: len(body) // 2]).close()
            self._reset()
        else:
            time.sleep(delay_s if fault == "delay" else 0)
            self._forward(body, cut=fault == "cut_answer")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815 - http.server's

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _forward(self, body: bytes, *, cut: bool) -> None:
        try:
            upstream = self._upload(body)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
        except (ConnectionError, http.client.HTTPException):  # the server is down, or was killed
            self._reset()
            return
        if cut and not data:
            self._reset()
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        if answer.headers["Content-Length"] is None and answer.status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection |= cut

    def _upload(self, body: bytes) -> http.client.HTTPConnection:
        """Send the request's head as it came, and as much of its body."""
        upstream = http.client.HTTPConnection(self.server.proxy.upstream, timeout=_TIMEOUT_S)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _NOT_FORWARDED:
                upstream.putheader(name, value)
        upstream.endheaders(body)
        return upstream

    def _refuse(self, status: int, code: str, message: str) -> None:
        content = b"" if self.command == "HEAD" else _ERROR.format(code, message).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        """Close the connection such that the client is told of a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
