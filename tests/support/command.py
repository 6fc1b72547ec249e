"""The product's command as a process of its own, as a user starts it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

COMMAND = str(Path(sys.executable).parent / "refinenet-batch")
WITHOUT_RAY = [sys.executable, str(Path(__file__).with_name("in_order_command.py"))]
_TIMEOUT_S = 240


def start(
    *arguments: object, environment: Mapping[str, str] | None = None, ray: bool = True
) -> subprocess.Popen:
    """Start the command in the background; without Ray it runs its stages in its own process."""
    return subprocess.Popen(
        [*([COMMAND] if ray else WITHOUT_RAY), *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
    ray: bool = True,
) -> subprocess.CompletedProcess:
    """Run the command to its end."""
    process = start(*arguments, environment=environment, ray=ray)
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        kill_tree(process)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kill_tree(process: subprocess.Popen) -> int:
    """Kill a command and every process that it started, at once; return how many there were."""
    driver = psutil.Process(process.pid)
    tree = [driver, *driver.children(recursive=True)]
    for member in tree:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(tree, timeout=20)
    process.communicate()
    return len(tree)
