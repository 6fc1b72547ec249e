"""Weights of a small network, and files of them, for tests."""

import io

import torch

MODEL = "refinenet_lw_mobilenet_v2"


def file_of(content) -> bytes:
    """Return what `torch.save` writes of something."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
