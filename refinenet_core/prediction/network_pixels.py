"""How many pixels of an image a network looks at: what the time and the operations follow from."""

from collections.abc import Sequence
from typing import Final

from refinenet_core.networks.normalisation import scaled_size
from refinenet_core.prediction.protocols import ProtocolName, plan_views
from refinenet_core.prediction.tiling import tiled_pixels

PIXELS_PER_PASS: Final = {"cpu": 1 << 22, "cuda": 1 << 24}
"""Default of `max_pixels_per_pass`, by kind of device."""


def network_pixels(
    height: int,
    width: int,
    scales: Sequence[float] = (1.0,),
    *,
    flip: bool = False,
    protocol: ProtocolName = "native",
    max_pixels_per_pass: int = PIXELS_PER_PASS["cpu"],
) -> int:
    """Return the pixels that go through the network for one image, over scales, flips and tiles.

    Args:
        height: Of the image, in pixels.
        width: Likewise.
        scales: As the predictor's.
        flip: Likewise.
        protocol: Likewise.
        max_pixels_per_pass: Likewise.
    """
    if protocol == "native" and height * width * max(scales) ** 2 > max_pixels_per_pass:
        sizes = [scaled_size(height, width, scale) for scale in scales]
        pixels = sum(tiled_pixels(size, max_pixels_per_pass // 2) for size in sizes)
    else:
        crops = [view.crop.size for view in plan_views(protocol, height, width, scales).views]
        pixels = sum(rows * columns for rows, columns in crops)
    return pixels * (2 if flip else 1)
