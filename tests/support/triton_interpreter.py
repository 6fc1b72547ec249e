"""A process in which Triton's kernels are interpreted on the CPU: it is chosen as it is loaded."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from torch import nn


@contextmanager
def running_interpreter() -> Iterator[Callable[..., Any]]:
    """Give what calls a function, of a module that can be imported, in such a process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            process.submit(len, ()).result()
        yield lambda function, *given, **options: process.submit(
            function, *given, **options
        ).result()


def call_fused(module: nn.Module, *given: Any) -> Any:
    """Return what a module returns that is made of the GPU's kernels."""
    from refinenet_core.gpu.network import fuse_network

    holder = nn.Sequential(module)
    fuse_network(holder)
    return holder[0](*given)
