"""File names made of keys. Keys are data: whatever they hold, a file stays in its folder."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline.output.part_file import PartFile

Hashes = npt.NDArray[np.int64]

# File systems take 255 bytes, of which a temporary name needs 38 and a suffix 17.
_STEP_BYTES: Final = 180
_NAME_BYTES: Final = 500
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"\\|?*]')
_SUFFIX: Final = re.compile(r"-[0-9a-f]{16}", re.IGNORECASE)


def safe_name(key: str, extension: str) -> str:
    """Return a relative path for a key, as much like it as can be, without its extension.

    Steps that are empty or made of dots go; control characters, backslashes and what Windows does
    not allow become "_", as do dots and spaces at a step's ends; a step keeps its first 180 bytes,
    a path its last 500. A folder never ends in the files' own extension, so that none is called
    as a file is.
    """
    steps = [_safe_step(step) for step in key.split("/") if step.strip(". ")]
    folders = [f"{step}_" if step.lower().endswith(extension) else step for step in steps[:-1]]
    steps = [*folders, *steps[-1:]]
    while len("/".join(steps).encode()) > _NAME_BYTES:
        del steps[0]
    return "/".join(steps) or "image"


def _safe_step(step: str) -> str:
    step = _UNSAFE.sub("_", step).encode()[:_STEP_BYTES].decode(errors="ignore")
    kept = step.strip(". ")
    leading = len(step) - len(step.lstrip(". "))
    return "_" * leading + kept + "_" * (len(step) - leading - len(kept))


def name_hash(name: str) -> int:
    """Return a number that is equal for names that some file system takes for one.

    Letters of either case are the same to it, and so are the ways to write an accent.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest(), signed=True)


def hash_names(part: PartFile, extension: str) -> tuple[int, Hashes]:
    """Return the number of a part's rows, and the hashes of the names of those that may have masks.

    Args:
        part: The part.
        extension: What names would end in.

    Raises:
        OutputError: It is damaged.
        StorageError: It cannot be read.
    """
    with part.opened() as content:
        table = content.read(columns=["key", "height"])
    keys = table["key"].filter(pc.is_valid(table["height"])).to_pylist()
    hashes = [name_hash(safe_name(key, extension)) for key in keys]
    return table.num_rows, np.array(hashes, dtype=np.int64)


@dataclass(frozen=True)
class FileNames:
    """Names for the files of a dataset's rows, no two the same.

    A name that several rows would have gets a suffix in each, made of the row's shard and index;
    so does one that looks as if it had one. Names follow from the keys alone, in whatever order
    they are asked for.

    Attributes:
        extension: What names end in, with its dot.
        repeated: Hashes of names that several rows would have.
    """

    extension: str
    repeated: frozenset[int] = frozenset()

    @classmethod
    def of(cls, extension: str, hashes: Iterable[Hashes]) -> "FileNames":
        """Find what is repeated.

        Args:
            extension: What names end in, with its dot.
            hashes: `name_hash` of every row's `safe_name`.
        """
        every = np.sort(np.concatenate([np.empty(0, np.int64), *hashes]))
        repeated = np.unique(every[1:][every[1:] == every[:-1]])
        return cls(extension, frozenset(repeated.tolist()))

    def name(self, key: str, shard: str, index: int) -> tuple[str, bool]:
        """Return a row's file name, and whether it has a suffix."""
        name = safe_name(key, self.extension)
        suffixed = name_hash(name) in self.repeated or bool(_SUFFIX.fullmatch(name[-17:]))
        if suffixed:
            name += "-" + hashlib.sha256(f"{shard}\n{index}".encode()).hexdigest()[:16]
        return name + self.extension, suffixed
