"""Tiles: cut and blended so that a large image is predicted as a small one would be."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from refinenet_core import MultiScalePredictor, build_model
from refinenet_core.networks.normalisation import IMAGENET, normalise, rescale, scaled_size
from refinenet_core.prediction.tiling import (
    OVERLAP_PIXELS,
    SMALLEST_TILE_PIXELS,
    TiledMap,
    crop_scaled,
)

CPU = torch.device("cpu")


def scene(height, width, seed=0):
    """Return an image with structure at several sizes."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, height // 60 + 2, width // 60 + 2)))
    smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic")
    noisy = smooth[0].permute(1, 2, 0).numpy() + rng.normal(0, 0.1, (height, width, 3))
    return (noisy.clip(0, 1) * 255).astype(np.uint8)


class Local(nn.Module):
    """A network that looks at its own cell alone: tiles of it must agree to the last bits."""

    def forward(self, x_BCHW):
        return x_BCHW[..., ::4, ::4]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = build_model("refinenet_lw_mobilenet_v2", num_classes=5)
    with torch.no_grad():
        network.head.weight.mul_(20)
    return network.eval()


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.3])
@pytest.mark.parametrize(("rows", "columns"), [((0, 41), (0, 30)), ((7, 23), (11, 29))])
def test_a_crop_is_that_of_the_whole_resized_image(scale, rows, columns):
    image = scene(75, 83)
    size = scaled_size(75, 83, scale)
    rows, columns = (
        (min(a, side - 5), min(b, side)) for (a, b), side in zip((rows, columns), size, strict=True)
    )
    whole = rescale(normalise([image], CPU), scale)

    crop = crop_scaled(image, size, rows=rows, columns=columns, normalisation=IMAGENET, device=CPU)

    expected = whole[:, :, rows[0] : rows[1], columns[0] : columns[1]]
    torch.testing.assert_close(crop, expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("size", [(700, 1100), (513, 512), (5, 3000), (2000, 3), (1301, 900)])
@pytest.mark.parametrize("flip", [False, True])
def test_what_depends_on_its_own_cell_alone_is_the_same_in_tiles(size, flip):
    image = scene(*size)
    settings = {"scales": (0.5, 1.0), "flip": flip, "probabilities": True}

    [whole] = MultiScalePredictor(Local(), **settings, max_pixels_per_pass=1 << 23).predict([image])
    [tiled] = MultiScalePredictor(
        Local(), **settings, max_pixels_per_pass=2 * SMALLEST_TILE_PIXELS
    ).predict([image])

    assert (whole.labels == tiled.labels).mean() > 0.9999
    np.testing.assert_allclose(tiled.confidence, whole.confidence, atol=1e-4)
    assert np.abs(tiled.probabilities.astype(int) - whole.probabilities).max() <= 1
    assert not tiled.shrunk


def test_a_network_sees_enough_around_a_tile(model):
    image = scene(1000, 1400)

    [whole] = MultiScalePredictor(model).predict([image])
    [tiled] = MultiScalePredictor(model, max_pixels_per_pass=1 << 20).predict([image])

    assert (whole.labels == tiled.labels).mean() >= 0.995
    assert len(np.unique(whole.labels)) > 1


def test_no_row_of_tiles_is_held_longer_than_it_is_needed():
    tiles = TiledMap(
        lambda x: Local()(x).softmax(1),
        scene(6000, 600),
        1.0,
        tile_pixels=SMALLEST_TILE_PIXELS,
        normalisation=IMAGENET,
        device=CPU,
    )
    held = []
    for first in range(0, tiles.height, 10):
        rows = tiles.rows(first, min(first + 10, tiles.height))
        held.append(tiles._total_CRw.shape[1])  # noqa: SLF001 - memory is what is tested

    assert torch.isfinite(rows).all()
    torch.testing.assert_close(rows.sum(0), torch.ones(rows.shape[1:]))
    assert max(held) <= 2 * OVERLAP_PIXELS // 4 + 20


class Short(nn.Module):
    """A network on a device of little memory: it fails beyond some pixels, as CUDA does."""

    def __init__(self, most_pixels):
        super().__init__()
        self.most_pixels = most_pixels
        self.seen = []

    def forward(self, x_BCHW):
        pixels = x_BCHW[:, 0].numel()
        self.seen.append(pixels)
        if pixels > self.most_pixels:
            raise torch.OutOfMemoryError("no more memory")
        return Local()(x_BCHW)


def test_a_batch_too_large_for_memory_is_halved_and_the_size_is_remembered():
    images = [scene(40, 50, seed) for seed in range(8)]
    predictor = MultiScalePredictor(Short(40 * 50 * 2), batch_pixels=1 << 20)
    unlimited = MultiScalePredictor(Local(), batch_pixels=1 << 20)

    first = predictor.predict(images)
    tried = len(predictor.network.seen)
    second = predictor.predict(images)

    assert {prediction.shrunk for prediction in (*first, *second)} == {True}
    assert len(predictor.network.seen) - tried == 4
    for one, other in zip(first, unlimited.predict(images), strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)


def test_an_image_too_large_for_memory_is_tiled_and_the_size_is_remembered():
    images = [scene(900, 1000, seed) for seed in range(2)]
    predictor = MultiScalePredictor(Short(SMALLEST_TILE_PIXELS))

    predictions = predictor.predict(images)

    for prediction, image in zip(predictions, images, strict=True):
        [whole] = MultiScalePredictor(Local()).predict([image])
        assert prediction.shrunk
        assert (prediction.labels == whole.labels).mean() > 0.9999
    assert sum(pixels > SMALLEST_TILE_PIXELS for pixels in predictor.network.seen) <= 3


def test_an_image_that_no_memory_suffices_for_fails_alone():
    predictor = MultiScalePredictor(Short(100))

    with pytest.raises(torch.OutOfMemoryError):
        predictor.predict([scene(600, 700)])


def test_a_pass_of_too_few_pixels_is_refused():
    with pytest.raises(ValueError, match="max_pixels_per_pass is 1000; it must be at least"):
        MultiScalePredictor(Local(), max_pixels_per_pass=1000)
