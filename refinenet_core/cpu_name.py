"""The processor of this machine, for the records of benchmarks."""

import platform
from pathlib import Path


def processor_name() -> str:
    """Return the processor's name; Linux tells it in a file, other systems to Python."""
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return platform.processor()
    names = [
        line.partition(":")[2].strip()
        for line in facts.read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()
