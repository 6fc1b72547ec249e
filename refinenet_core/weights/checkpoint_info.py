"""What is known of a checkpoint, without its tensors."""

from dataclasses import dataclass
from typing import Literal

from refinenet_core.labels.palettes import Colour

Container = Literal["zip pickle", "legacy pickle", "safetensors"]


@dataclass(frozen=True)
class CheckpointInfo:
    """What a weights file is: read from it, or inferred from its parameters.

    Attributes:
        source: Name of the file.
        container: Kind of file.
        ours: Whether it is of our own format, with our names and metadata.
        sha256: Digest of the file's bytes, hexadecimal.
        model: Name of the model that it is for; None if it is for none that is known.
        looks_like: What the parameters look like, for a person; None if like nothing known.
        num_classes: Number of classes, C; None if there is no head to tell it.
        poolings: Poolings of each chain.
        improved_pooling: Whether the chain convolves first; a published file does not tell, and
            then it is False.
        dtype: Precision of the weights, for example "float16".
        num_parameters: Number of values in floating-point tensors but running statistics.
        classes: Class names; None if the file does not say.
        colours: A colour for each class; None if the file does not say.
        ignore_index: Target value of unlabelled pixels in training; None if not said.
        scales: Scales that the figures were measured with; None if not said.
        miou: Published mIoU, a fraction; None if not said.
    """

    source: str
    container: Container
    ours: bool
    sha256: str
    model: str | None
    looks_like: str | None
    num_classes: int | None
    poolings: int
    improved_pooling: bool
    dtype: str
    num_parameters: int
    classes: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    ignore_index: int | None = None
    scales: tuple[float, ...] | None = None
    miou: float | None = None


@dataclass(frozen=True)
class CheckpointReport:
    """What was loaded.

    Attributes:
        source: Name of the file.
        sha256: Digest of the file's bytes, hexadecimal.
        num_parameters: Number of learnt values loaded, running statistics not counted.
        dtype: Precision that the weights had in the file, for example "float16".
    """

    source: str
    sha256: str
    num_parameters: int
    dtype: str
