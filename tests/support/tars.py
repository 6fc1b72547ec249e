"""Tars for tests: whole ones, and broken ones."""

import gzip
import io
import tarfile
from collections.abc import Iterable

from pipeline.datasets.encoded_image import EncodedImage
from pipeline.datasets.webdataset import read_samples
from pipeline.errors import ShardBrokenError
from pipeline.spec.dataset_spec import MembersSpec

Members = Iterable[tuple[str, bytes]]
PAIRS = [(f"{n:03d}.{kind}", f"{kind} {n}".encode() * 300) for n in range(5) for kind in "jp"]
WITH_TARGETS = MembersSpec(image="j", target="p")


def make_tar(members: Members, *, compress: bool = False, kind: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar with these members, in order; names may repeat."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = buffer.getvalue()
    return gzip.compress(data, mtime=0) if compress else data


def member_offsets(data: bytes) -> list[tuple[int, int, int]]:
    """Return where each member's header, its content, and what follows it begin."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        infos = archive.getmembers()
    return [(i.offset, i.offset_data, i.offset_data + -(-i.size // 512) * 512) for i in infos]


def collect(
    data: bytes, members: MembersSpec = WITH_TARGETS
) -> tuple[list[EncodedImage], ShardBrokenError | None]:
    """Return a tar's samples, and why it broke off if it did."""
    samples: list[EncodedImage] = []
    broken = None
    try:
        samples.extend(read_samples(io.BytesIO(data), "u.tar", members))  # keeps what came before
    except ShardBrokenError as error:
        broken = error
    return samples, broken
