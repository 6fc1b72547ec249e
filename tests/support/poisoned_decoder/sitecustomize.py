"""Python's start-up hook: where this folder is on the path, PNG files marked so poison Pillow.

A file whose text chunk `poison` says `segfault`, `memory`, `hang` or `slow` does that to whoever
decodes it, as a faulty C library would; `network` kills the process when a network looks at it
next. Each attempt is a line in the file that POISON_LOG names.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

from PIL import PngImagePlugin

_BLOCK_BYTES = 1 << 28
_MOST_BYTES = 12 << 30  # so that a failing test does not take the machine with it

_load = PngImagePlugin.PngImageFile.load


def _load_poisoned(image: PngImagePlugin.PngImageFile) -> object:
    poison = image.info.pop("poison", None)  # once for each time that it is opened
    if poison:
        with Path(os.environ["POISON_LOG"]).open("a") as log:
            log.write(f"{poison}\n")
        deeds = {
            "segfault": _segfault,
            "memory": _eat,
            "hang": _hang,
            "slow": _dawdle,
            "network": _poison_network,
        }
        deeds[poison]()
    return _load(image)


def _segfault() -> None:
    ctypes.string_at(0)


def _eat() -> None:
    eaten = []
    while len(eaten) * _BLOCK_BYTES < _MOST_BYTES:
        eaten.append(bytearray(os.urandom(1 << 12) * (_BLOCK_BYTES >> 12)))
        time.sleep(0.02)
    time.sleep(30)
    sys.exit("nobody stopped the memory from being eaten")


def _hang() -> None:
    ctypes.PyDLL(None).sleep(1000)  # in C, without letting go of Python's lock


def _dawdle() -> None:
    for _ in range(1000):
        time.sleep(0.05)


def _poison_network() -> None:
    torch = sys.modules.get("torch")  # not there in a process that only decodes
    if torch:
        torch.nn.Conv2d.forward = lambda *_: ctypes.string_at(0)


PngImagePlugin.PngImageFile.load = _load_poisoned
