"""Label images of three classes, and how a target is read or refused."""

import io

import numpy as np
import pytest
from PIL import Image

from encoded_images import encoded
from pipeline.errors import DecodeError
from pipeline.images.targets import TargetReader
from pipeline.spec.dataset_spec import LabelsSpec
from refinenet_core import LabelSet

PALETTE = ((10, 20, 30), (0, 0, 200), (200, 0, 0))
THREE = LabelSet("three", ("a", "b", "c"), PALETTE, ignore_index=255)
IDS = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)
AS_PUBLISHED = LabelsSpec()


def read(target, labels=THREE, spec=AS_PUBLISHED, **options):
    """Return a target's class ids; its image has its size unless another is given."""
    data = target if isinstance(target, bytes) else encoded(target)
    size = options.pop("size", None) or Image.open(io.BytesIO(data)).size[::-1]
    return TargetReader(labels, spec).read(data, size, **options)


def refusal(target, labels=THREE, spec=AS_PUBLISHED, **options):
    """Return why a target is refused."""
    with pytest.raises(DecodeError) as caught:
        read(target, labels, spec, **options)
    assert caught.value.status == "bad_target"
    return caught.value.reason
