"""A Ray head with a job server for the tests: on loopback, asking for a token, ended by its id."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

NODE_VARIABLE = "TEST_NODE_VARIABLE"  # is set there, and nowhere else
_START_TIMEOUT_S = 60
_STORE_SPACES = ("job", "fun", "cluster", "dashboard", "session", "usage_stats")
_PORT_OPTIONS = (
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "node-manager-port",
    "object-manager-port",
    "ray-client-server-port",
)


@dataclass
class RayHead:
    """A running head.

    Attributes:
        folder: Everything that it keeps: sessions, logs, uploaded code.
        address: HOST:PORT, to which drivers on this machine connect.
        job_server: URL of its job server.
        token: That it asks for.
        process: `ray start`.
    """

    folder: Path
    address: str
    job_server: str
    token: str
    process: subprocess.Popen

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a client is let in."""
        return {"RAY_AUTH_TOKEN": self.token}

    def get(self, path: str) -> bytes:
        """Return what the job server answers, without any client of Ray's."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.job_server}{path}", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - on loopback
            return answer.read()

    def dump_store(self, folder: Path) -> None:
        """Write each value of the head's key-value store, packed code among them, to a file."""
        code = (
            "import sys, pathlib, ray._raylet\n"
            "store = ray._raylet.GcsClient(address=sys.argv[1])\n"
            "for space in (None, *map(str.encode, sys.argv[3:])):\n"
            "    for number, key in enumerate(store.internal_kv_keys(b'', space)):\n"
            "        file = pathlib.Path(sys.argv[2], f'{space}-{number}')\n"
            "        file.write_bytes(key + (store.internal_kv_get(key, space) or b''))\n"
        )
        subprocess.run(
            [sys.executable, "-c", code, self.address, str(folder), *_STORE_SPACES],
            env={**os.environ, **self.environment, "RAY_AUTH_MODE": "token"},
            check=True,
        )

    def kill(self) -> None:
        """Kill the head with every process that it has started, at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(self.process.pid)
            members = [*head.children(recursive=True), head]
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(members, timeout=20)
        self.process.wait()


@contextlib.contextmanager
def running_ray_head(*, num_cpus: int = 2) -> Iterator[RayHead]:
    """Start a head of which nothing is known to this process's environment; end it at last."""
    # Names of sockets below it may have 107 characters: pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    port, *others = _free_ports(1 + len(_PORT_OPTIONS))
    token = secrets.token_hex(32)
    command = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        "--node-ip-address=127.0.0.1",
        f"--temp-dir={folder / 'ray'}",
        f"--num-cpus={num_cpus}",
        f"--object-store-memory={200 << 20}",
        f"--port={port}",
        *(f"--{name}={other}" for name, other in zip(_PORT_OPTIONS, others, strict=True)),
    ]
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        NODE_VARIABLE: "set",
        "RAY_metrics_report_interval_ms": "1000",  # which a run's end waits for
    }
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        server = f"http://127.0.0.1:{others[0]}"
        head = RayHead(folder, f"127.0.0.1:{port}", server, token, process)
        try:
            _wait_until_ready(head)
            yield head
        finally:
            head.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(head: RayHead) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    error: Exception | None = None
    while time.monotonic() < deadline and head.process.poll() is None:
        try:
            head.get("/api/jobs/")
        except OSError as failure:
            error = failure
        else:
            return
        time.sleep(0.2)
    log = (head.folder / "head.log").read_text()
    raise RuntimeError(f"the head did not answer ({error}); {log[-2000:]}")


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now, all different."""
    with contextlib.ExitStack() as probes:
        ports = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports
