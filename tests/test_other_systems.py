"""The packages import where names are missing that Linux alone has."""

import subprocess
import sys
from pathlib import Path

import jobs
import pipeline
import refinenet_core

# What the modules of Python's library lack on macOS, of what Linux has.
_LINUX_ONLY = {
    "errno": (
        *("EREMOTEIO", "EREMCHG", "EBADE", "EBADFD", "EBADR", "EBADRQC", "EBADSLT", "ECHRNG"),
        *("ECOMM", "EDEADLOCK", "EDOTDOT", "EISNAM", "EKEYEXPIRED", "EKEYREJECTED", "EKEYREVOKED"),
        *("EL2HLT", "EL2NSYNC", "EL3HLT", "EL3RST", "ELIBACC", "ELIBBAD", "ELIBEXEC", "ELIBMAX"),
        *("ELIBSCN", "ELNRNG", "EMEDIUMTYPE", "ENAVAIL", "ENOANO", "ENOCSI", "ENOKEY", "ENOMEDIUM"),
        *("ENONET", "ENOPKG", "ENOTNAM", "ENOTUNIQ", "ERESTART", "ERFKILL", "ESRMNT", "ESTRPIPE"),
        *("EUCLEAN", "EUNATCH", "EXFULL"),
    ),
    "signal": (
        *("SIGCLD", "SIGPOLL", "SIGPWR", "SIGRTMAX", "SIGRTMIN", "SIGSTKFLT", "pidfd_send_signal"),
        *("sigtimedwait", "sigwaitinfo"),
    ),
    "resource": (
        *("RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_OFILE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME"),
        *("RLIMIT_SIGPENDING", "RUSAGE_THREAD", "prlimit"),
    ),
    "os": (
        *("sched_getaffinity", "sched_setaffinity", "memfd_create", "eventfd", "pidfd_open"),
        *("splice", "copy_file_range", "posix_fadvise", "posix_fallocate", "getrandom", "setns"),
        *("unshare", "fdatasync", "pipe2", "getxattr", "setxattr", "listxattr", "removexattr"),
        *("O_TMPFILE", "O_LARGEFILE", "O_PATH", "O_DIRECT", "O_NOATIME", "sched_setscheduler"),
    ),
}
# Libraries that import such names where they run on Linux; they are in place before these go.
_LIBRARIES = "numpy, torch, torchvision, pyarrow.dataset, fsspec, s3fs, pydantic, typer, rich, ray"
_IMPORT_ALL = f"""
import errno, os, resource, signal, sys
import {_LIBRARIES}, matplotlib.pyplot, asyncio, multiprocessing, subprocess, tempfile
for module, names in {_LINUX_ONLY!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""


def _modules(package):
    root = Path(package.__file__).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1] != "__main__":  # runs the command line
            yield ".".join(part for part in parts if part != "__init__")


def test_every_module_imports_where_linuxs_own_names_are_missing():
    """On macOS `import pipeline` once failed: `errno` has no EREMOTEIO there."""
    modules = [name for package in (refinenet_core, pipeline, jobs) for name in _modules(package)]

    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *modules], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == [str(len(modules))], done.stderr
