"""The project's code as a folder that travels to the nodes of a cluster."""

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

_DISTRIBUTION = "refinenet-batch"
_JUNK = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*~")


def write_code(folder: Path, packages: Sequence[str]) -> None:
    """Copy packages, data files included, into a folder from which Python can import them.

    Args:
        folder: Exists, and is empty.
        packages: Names, each of a package in a folder of its own.
    """
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no package {name!r} to copy", name=name)
        shutil.copytree(Path(spec.origin).parent, folder / name, ignore=_JUNK)
    # A node may have the dependencies alone, and `job.json` tells the version of what runs.
    version = importlib.metadata.version(_DISTRIBUTION)
    information = folder / f"{_DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: {version}\n", encoding="utf-8"
    )
