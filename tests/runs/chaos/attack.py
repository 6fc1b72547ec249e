"""A schedule carried out: a job is run again and again until it says 0, and hit on the way."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

import command
from chaos.schedule import Strike
from object_store import ObjectStore, free_ports, running_object_store

MOST_RUNS = 8

_TITLES = {"actor": "MapWorker(MapBatches(Segmenter))", "reader": "ray::MapBatches(Reader)"}
_PAUSE_S = 0.05
_FAMILY_INTERVAL_S = 0.5
_RUN_TIMEOUT_S = 240
_LEAVE_TIMEOUT_S = 5
_CLUSTER_DRIVER = Path(__file__).with_name("cluster_driver.py")


class RestartableStore:
    """An S3 server that can be killed and comes back with its data at the same address.

    Args:
        folder: Of its data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports()
        self._running = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        context = running_object_store(self._folder, self._ports)
        self.store: ObjectStore = self._running.enter_context(context)

    def kill(self) -> None:
        """Kill the server in the middle of what it does."""
        self.store.process.kill()
        self._running.close()

    def stop(self) -> None:
        """End the server."""
        self._running.close()


@dataclass
class Attack:
    """What a schedule did to the runs of a job.

    Attributes:
        codes: Exit code of each run; that of a killed driver is -9.
        hung: Runs that went on for too long, and were killed.
        done: What was killed, by kind.
        missed: Strikes that found no victim before the job was done.
        left_over: Processes of killed runs that had to be ended, by their titles.
        log: What the runs wrote to standard error.
        seconds: What it all took.
    """

    codes: list[int] = field(default_factory=list)
    hung: int = 0
    done: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    log: str = ""
    seconds: float = 0.0


def attack(
    spec: Path,
    strikes: tuple[Strike, ...],
    server: RestartableStore,
    num_parts: Callable[[], int],
    environment: Mapping[str, str],
) -> Attack:
    """Run a job until it exits with 0, or too often; strike as scheduled.

    Args:
        spec: The job's.
        strikes: What is done, in this order.
        server: The S3 server.
        num_parts: Tells how many parts are committed.
        environment: Of the runs, beside this process's own.
    """
    result, left, start = Attack(), list(strikes), time.monotonic()
    on_cluster = any(strike.kind == "node" for strike in strikes)
    family: set[psutil.Process] = set()
    with tempfile.TemporaryFile("w+") as log:
        try:
            while len(result.codes) < MOST_RUNS and 0 not in result.codes:
                run = _Run(spec, environment, family, log, on_cluster=on_cluster)
                result.hung += not run.attack(left, server, num_parts, result.done)
                result.codes.append(run.driver.returncode)
        finally:
            result.left_over = _end(family)
            log.seek(0)
            result.log = log.read()
    result.missed = [strike.kind for strike in left]
    result.seconds = time.monotonic() - start
    return result


class _Run:
    """One run of a job as a process of its own, with those that it starts in turn."""

    def __init__(
        self,
        spec: Path,
        environment: Mapping[str, str],
        family: set[psutil.Process],
        log: IO[str],
        *,
        on_cluster: bool,
    ) -> None:
        program = [sys.executable, str(_CLUSTER_DRIVER)] if on_cluster else [command.COMMAND]
        self.driver = subprocess.Popen(
            [*program, "run", str(spec)],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
        )
        self.family = family
        family.add(psutil.Process(self.driver.pid))

    def attack(
        self,
        left: list[Strike],
        server: RestartableStore,
        num_parts: Callable[[], int],
        done: Counter[str],
    ) -> bool:
        """Wait for the end of the run; carry out what is left to do, and take it off the list.

        Returns:
            Whether the run ended in time.
        """
        deadline, counted_at = time.monotonic() + _RUN_TIMEOUT_S, 0.0
        while self.driver.poll() is None:
            if time.monotonic() > deadline:
                self.driver.kill()
                self.driver.wait()
                return False
            if time.monotonic() - counted_at > _FAMILY_INTERVAL_S:
                self._count_family()
                counted_at = time.monotonic()
            due = bool(left) and num_parts() >= left[0].after_parts
            if due and self._strike(left[0], server):
                done[left.pop(0).kind] += 1
            time.sleep(_PAUSE_S)
        self.driver.stdin.close()
        return True

    def _strike(self, strike: Strike, server: RestartableStore) -> bool:
        """Do one thing; say whether there was somebody to be hit."""
        if strike.kind in _TITLES:
            title = _TITLES[strike.kind]
            victims = [member for member in self._count_family() if title in _title(member)]
            if not victims:
                return False
            victim = victims[int(strike.choice * len(victims))]
            time.sleep(strike.delay_s)
            return title in _title(victim) and _kill(victim)
        time.sleep(strike.delay_s)
        if self.driver.poll() is not None:
            return False
        if strike.kind == "server":
            server.kill()
            time.sleep(strike.down_s)
            server.start()
        elif strike.kind == "driver":
            self._count_family()
            self.driver.kill()
            self.driver.wait()
        elif strike.kind == "node":
            self.driver.stdin.write(f"{round(strike.choice)}\n")
            self.driver.stdin.flush()
        return True

    def _count_family(self) -> list[psutil.Process]:
        try:
            members = psutil.Process(self.driver.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.family.update(members)
        return members


def _title(process: psutil.Process) -> str:
    """Return what a process is called, nothing if it is gone."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:
        return ""


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _end(family: set[psutil.Process]) -> list[str]:
    """Wait for processes to end by themselves; kill those that do not and return their titles."""
    _, alive = psutil.wait_procs(family, timeout=_LEAVE_TIMEOUT_S)
    titles = [_title(process) for process in alive]
    for process in alive:
        _kill(process)
    psutil.wait_procs(alive, timeout=_LEAVE_TIMEOUT_S)
    return titles
