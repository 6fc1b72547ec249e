"""Tars of samples, as WebDataset has them: members whose names agree up to the dot are one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from pipeline.datasets.encoded_image import MAX_ENCODED_BYTES, EncodedImage
from pipeline.datasets.find_files import find_files
from pipeline.datasets.plan import ShardFile
from pipeline.datasets.tar import TarMember, read_members
from pipeline.errors import ShardBrokenError
from pipeline.spec.dataset_spec import DatasetSpec, MembersSpec
from pipeline.storage.storage import Storage

KEY_ATTRIBUTE: Final = "REFINENET.key"  # pax attribute: the key, where a name cannot hold it
WINDOW_MEMBERS: Final = 256  # a sample's members lie within so many of each other
_WINDOW_BYTES: Final = 64 << 20

# By the last part of a member's extension.
_IMAGES: Final = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "tif", "tiff", "bmp", "dib", "gif"}
    | {"ppm", "pgm", "pbm", "pnm", "pfm", "jp2", "j2k", "jpx", "avif", "tga", "ico"}
)
_SIDE_FILES: Final = frozenset(
    {"json", "jsonl", "txt", "text", "cls", "cls2", "id", "index", "csv", "tsv", "xml", "yaml"}
    | {"yml", "html", "md", "npy", "npz", "pt", "pth", "pyd", "pickle", "pkl", "msgpack", "mp"}
    | {"ten", "tb", "transcript", "caption", "mp3", "wav", "flac", "mp4"}
)


def list_shards(dataset: DatasetSpec, storage: Storage) -> list[ShardFile]:
    """Return a dataset's tars in byte order of their URIs; nothing of them is read.

    Raises:
        PlanError: There is none, or one that is named is not there.
        StorageError: A location cannot be looked at.
    """
    return [
        ShardFile(shard=file.uri, uri=file.uri, size_bytes=file.size_bytes, stamp=file.stamp)
        for file in find_files(dataset, storage)
    ]


def read_samples(stream: IO[bytes], uri: str, members: MembersSpec) -> Iterator[EncodedImage]:
    """Yield a tar's samples, in the order of their first members.

    A sample's members need not be adjacent: it is kept until `WINDOW_MEMBERS` others have come, or
    until more than 64 MiB are kept. Without `members.image`, its image is the one member
    that is an image by its extension, or else the one that is no known side file.

    Args:
        stream: The tar, read forward only.
        uri: Its URI.
        members: Which members are image and target.

    Raises:
        ShardBrokenError: It breaks off, after the samples that were read.
    """
    window = _Window(uri, members)
    try:
        for member in read_members(stream, window.wants):
            window.add(member)
            yield from window.overdue()
    except ShardBrokenError:
        yield from window.rest()  # what was read before the break is good
        raise
    yield from window.rest()


@dataclass
class _Sample:
    """What is kept of a sample: its image candidates and its target, by extension."""

    key: str
    started: int
    extensions: list[str] = field(default_factory=list)
    images: list[TarMember] = field(default_factory=list)
    others: list[TarMember] = field(default_factory=list)
    target: TarMember | None = None

    @property
    def size_bytes(self) -> int:
        members = (*self.images, *self.others, *([self.target] if self.target else []))
        return sum(len(member.data or b"") for member in members)


class _Window:
    """The samples that may still get members."""

    def __init__(self, uri: str, members: MembersSpec) -> None:
        self.uri = uri
        self.members = members
        self.samples: list[_Sample] = []
        self.kept_bytes = 0
        self.read = 0  # members so far
        self.index = 0  # of the next sample to be yielded

    def wants(self, name: str, size_bytes: int) -> bool:
        """Say whether a member's content matters."""
        return self._role(_split(name)[1]) != "side" and size_bytes <= MAX_ENCODED_BYTES

    def add(self, member: TarMember) -> None:
        """Put a member into its sample: the first of its key that has none of the kind yet."""
        key, suffix = _split(member.name)
        self.read += 1
        if not key or key.rpartition("/")[2].startswith("__"):  # hidden files, a tar's own notes
            return
        for sample in self.samples:
            if sample.key == key and suffix not in sample.extensions:
                break
        else:
            sample = _Sample(key, self.read)
            self.samples.append(sample)
        sample.extensions.append(suffix)
        role = self._role(suffix)
        if role == "image":
            sample.images.append(member)
        elif role == "other":
            sample.others.append(member)
        elif role == "target":
            sample.target = member
        self.kept_bytes += len(member.data or b"")

    def overdue(self) -> Iterator[EncodedImage]:
        """Yield the samples that have waited long enough."""
        while self.samples and (
            self.read - self.samples[0].started >= WINDOW_MEMBERS
            or (self.kept_bytes > _WINDOW_BYTES and len(self.samples) > 1)
        ):
            yield self._pop()

    def rest(self) -> Iterator[EncodedImage]:
        """Yield the samples that are left."""
        while self.samples:
            yield self._pop()

    def _pop(self) -> EncodedImage:
        sample = self.samples.pop(0)
        self.kept_bytes -= sample.size_bytes
        image = self._image(sample)
        first = image or next(iter((*sample.images, *sample.others)), None)
        self.index += 1
        status, error = "ok", None
        if image is None:
            status, error = "unreadable", _no_image(sample)
        elif image.data is None:
            status = "too_large"
            error = f"{image.size_bytes} encoded bytes are more than {MAX_ENCODED_BYTES}"
        return EncodedImage(
            index=self.index - 1,
            key=first.attributes.get(KEY_ATTRIBUTE, sample.key) if first else sample.key,
            flags=[],
            uri=f"{self.uri}#{first.name if first else sample.key}",
            target_uri=f"{self.uri}#{sample.target.name}" if sample.target else None,
            status=status,
            error=error,
            image=image.data if image else None,
            target=sample.target.data if sample.target else None,
        )

    def _image(self, sample: _Sample) -> TarMember | None:
        for candidates in (sample.images, sample.others):
            if candidates:
                return candidates[0] if len(candidates) == 1 else None
        return None

    def _role(self, suffix: str) -> Literal["image", "target", "other", "side"]:
        if suffix == self.members.target:
            return "target"
        if self.members.image is not None:
            return "image" if suffix == self.members.image else "side"
        kind = suffix.rpartition(".")[2]
        if kind in _IMAGES:
            return "image"
        return "side" if kind in _SIDE_FILES else "other"


def _split(name: str) -> tuple[str, str]:
    """Return a member's key and what follows it: its file name is cut at the first dot."""
    folder, slash, file = name.removeprefix("./").rpartition("/")
    stem, _, suffix = file.partition(".")
    return (folder + slash + stem if stem else "", suffix.lower())


def _no_image(sample: _Sample) -> str:
    found = ", ".join(suffix or "(none)" for suffix in sample.extensions)
    if len(sample.images) > 1 or len(sample.others) > 1:
        return (
            f"the sample has several members that may be its image (extensions: {found}); say "
            "which with `members: {image: …}`, and which is the target with `target: …`"
        )
    return (
        f"the sample has no image among its members (extensions: {found}); the members of a "
        f"sample must lie within {WINDOW_MEMBERS} members of each other"
    )
