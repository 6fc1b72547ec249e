"""JSON files of lists, written item by item, so that a file of any length takes little memory."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.export.run_lengths import Runs, class_runs
from pipeline.output.mask_table import MaskRow
from refinenet_core.labels.label_sets import LabelSet

MOST_CLASSES: Final = 256
_SPOOLED_BYTES: Final = 1 << 20

Labels = npt.NDArray[np.uint8]
Items = Iterator[tuple[str, dict[str, Any]]]
Describe = Callable[[int, MaskRow, Labels, LabelSet], Items]


class ItemLists:
    """Lists of JSON items by name, a line each, in memory while they are small, then on disk."""

    def __init__(self, names: Sequence[str]) -> None:
        self._files = {
            name: tempfile.SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - closed by `close`
            for name in names
        }

    def add(self, name: str, item: Mapping[str, Any]) -> None:
        """Append an item to a list."""
        line = json.dumps(item, separators=(",", ":"), allow_nan=False)
        self._files[name].write(line.encode() + b"\n")

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a list's items from the first."""
        file = self._files[name]
        file.seek(0)
        for line in file:
            yield line.rstrip(b"\n")

    def close(self) -> None:
        """Give up the memory and the disk."""
        for file in self._files.values():
            file.close()


def write_document(
    file: IO[bytes], header: Mapping[str, Any], names: Sequence[str], parts: Iterable[ItemLists]
) -> None:
    """Write a JSON object of a header and lists; the first goes through, others wait on disk.

    Args:
        file: Where to.
        header: The fields that are no lists.
        names: The lists.
        parts: What the lists are made of, one behind the other; each is closed.
    """
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(tempfile.TemporaryFile()) for _ in names[1:]]
        lists = dict(zip(names, (file, *waiting), strict=True))
        separators = dict.fromkeys(names, b"\n")
        file.write(json.dumps(header)[:-1].encode())
        for name, each in lists.items():
            each.write(f",\n{json.dumps(name)}: [".encode())
        for part in parts:
            with contextlib.closing(part):
                for name, each in lists.items():
                    for line in part.lines(name):
                        each.write(separators[name] + line)
                        separators[name] = b",\n"
        for each in lists.values():
            each.write(b"\n]")
        for each in waiting:
            each.seek(0)
            shutil.copyfileobj(each, file)
        file.write(b"}\n")


def categories(labels: LabelSet) -> list[dict[str, Any]]:
    """Return the classes as COCO lists its categories."""
    return [
        {"id": class_id, "name": name, "color": list(colour)}
        for class_id, (name, colour) in enumerate(zip(labels.classes, labels.colours, strict=True))
    ]


def identity(row: MaskRow) -> dict[str, Any]:
    """Return what an image is known by."""
    return {"key": row.key, "shard": row.shard, "index": row.index, "uri": row.uri}


def runs_of_classes(found: Labels, labels: LabelSet) -> Iterator[tuple[int, Runs]]:
    """Yield each class in a label map with its run lengths; ids that are no class are left out."""
    for class_id, runs in class_runs(found).items():
        if class_id < len(labels.classes):
            yield class_id, runs
