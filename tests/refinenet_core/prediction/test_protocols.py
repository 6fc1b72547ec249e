"""Protocols: at which sizes a network looks, and where its labels lie."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from refinenet_core import MultiScalePredictor
from refinenet_core.networks.normalisation import normalise
from refinenet_core.prediction.prediction import OUTSIDE_REGION
from refinenet_core.prediction.protocols import Box, plan_views

FIVE = (0.4, 0.6, 0.8, 1.0, 1.2)


class Watching(nn.Module):
    """A network whose class is a pixel's brightest channel, and which notes what it sees."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x_BCHW):
        self.sizes.append(tuple(x_BCHW.shape[-2:]))
        return 5 * x_BCHW[..., ::4, ::4]


def picture(height, width):
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (height // 64 + 1, width // 64 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(cells.repeat(64, 0).repeat(64, 1)[:height, :width])


@pytest.mark.parametrize(
    ("protocol", "size", "sizes"),
    [
        ("native", (360, 480), [(144, 192), (216, 288), (288, 384), (360, 480), (432, 576)]),
        ("authors", (300, 600), [(216, 432), (540, 1080)]),  # 300 becomes 450
        ("authors", (600, 700), [(288, 336), (720, 840)]),  # 600 stays
        ("authors", (1600, 2000), [(384, 480), (960, 1200)]),  # 1600 becomes 800
        ("authors_cityscapes", (1024, 2048), [(491, 983), (1228, 2457)]),
        ("fixed", (375, 500), [(200, 200), (500, 500)]),
        ("fixed", (2000, 1000), [(200, 200), (500, 500)]),
    ],
)
def test_a_network_sees_the_sizes_of_the_protocol(protocol, size, sizes):
    scales = FIVE if protocol == "native" else (0.4, 1.0)
    predictor = MultiScalePredictor(Watching(), scales, protocol=protocol)

    [prediction] = predictor.predict([picture(*size)])

    assert predictor.network.sizes == sizes
    assert prediction.labels.shape == prediction.confidence.shape == size


def test_the_authors_average_at_the_largest_maps_size_and_enlarge_once():
    image = picture(300, 420)
    predictor = MultiScalePredictor(Watching(), (0.4, 1.0), protocol="authors", flip=True)

    [prediction] = predictor.predict([image])

    pixels = normalise([image], torch.device("cpu"))
    maps = []
    for scale in (0.4, 1.0):
        size = tuple(int(side * scale * 1.2 * 450 / 300) for side in (300, 420))
        scaled = functional.interpolate(pixels, size=size, mode="bilinear")
        for view in (scaled, scaled.flip(-1)):
            low = Watching()(view).softmax(1)
            maps.append(low if view is scaled else low.flip(-1))
    largest = maps[2].shape[-2:]
    mean = torch.stack(
        [functional.interpolate(each, size=largest, mode="bilinear") for each in maps]
    ).mean(0)
    expected = functional.interpolate(mean, size=(300, 420), mode="bilinear")[0].numpy()
    best_two = np.sort(expected, axis=0)[-2:]
    clear = best_two[1] - best_two[0] > 1e-4
    np.testing.assert_array_equal(prediction.labels[clear], expected.argmax(0)[clear])
    np.testing.assert_allclose(prediction.confidence, expected.max(0), atol=1e-4)


@pytest.mark.parametrize(
    ("size", "region"),
    [
        ((375, 500), Box(0, 62, 375, 437)),
        ((1000, 640), Box(180, 0, 820, 640)),
        ((500, 500), Box(0, 0, 500, 500)),
    ],
)
def test_fixed_labels_the_central_square_in_the_images_frame_and_nothing_else(size, region):
    image = picture(*size)

    [prediction] = MultiScalePredictor(Watching(), protocol="fixed").predict([image])
    [native] = MultiScalePredictor(Watching()).predict([image])

    assert prediction.region == region
    inside = np.zeros(size, bool)
    inside[region.slices] = True
    assert (prediction.labels[~inside] == OUTSIDE_REGION).all()
    assert (prediction.confidence[~inside] == 0).all()
    assert (prediction.labels[inside] == native.labels[inside]).mean() > 0.9
    assert prediction.mean_confidence == pytest.approx(prediction.confidence[inside].mean())


@pytest.mark.parametrize("protocol", ["native", "authors", "authors_cityscapes", "fixed"])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (333, 77)])
def test_every_size_has_views_within_its_resized_image(protocol, size):
    views = plan_views(protocol, *size, FIVE)

    assert len(views.views) == 5
    for view in views.views:
        assert min(view.crop.size) >= 1
        assert view.crop.bottom <= view.resized[0]
        assert view.crop.right <= view.resized[1]
    assert views.region.bottom <= size[0]
    assert views.region.right <= size[1]


def test_an_unknown_protocol_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match="protocol is 'x'; choose native, authors"):
        MultiScalePredictor(Watching(), protocol="x")
