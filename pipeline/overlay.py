"""Overlays: an image with its label map in colours over it."""

import numpy as np
import numpy.typing as npt

from refinenet_core.labels.palettes import Colour

Pixels = npt.NDArray[np.uint8]


def blend(image: Pixels, labels: Pixels, colours: tuple[Colour, ...]) -> Pixels:
    """Return an image half in its classes' colours, shape (H, W, 3).

    Args:
        image: RGB, shape (H, W, 3), uint8.
        labels: Class ids, shape (H, W), uint8; the image stays as it is where an id is no class.
        colours: RGB of each class.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    # Halves are taken before they are added: in eight bits a sum would not fit.
    mixed = image // 2 + table[labels] // 2
    return np.where((labels < len(colours))[..., np.newaxis], mixed, image)
