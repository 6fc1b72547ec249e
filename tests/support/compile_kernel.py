"""Compile a Triton kernel for a GPU that is not there: the interpreter takes what that refuses."""

from collections.abc import Mapping
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


def compile_kernel(
    kernel: Any, signature: Mapping[str, Any], capability: int, **options: Any
) -> str:
    """Return the PTX of a kernel.

    Args:
        kernel: A function under `triton.jit`.
        signature: For each argument its type, "*fp32" or "i32", say; of one that is compiled in,
            its value in a tuple of one.
        capability: Of the GPU, 90 for 9.0.
        options: Of the compiler.
    """
    assert list(signature) == kernel.arg_names
    constants = {
        (index,): given[0]
        for index, given in enumerate(signature.values())
        if isinstance(given, tuple) and len(given) == 1
    }
    types = {
        name: "constexpr" if isinstance(given, tuple) and len(given) == 1 else given
        for name, given in signature.items()
    }
    compiled = triton.compile(
        ASTSource(kernel, types, constexprs=constants),
        target=GPUTarget("cuda", capability, 32),
        options=options,
    )
    return str(compiled.asm["ptx"])
