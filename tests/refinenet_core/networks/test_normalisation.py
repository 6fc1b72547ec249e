"""From decoded images to the network's input: values, memory and sizes."""

import numpy as np
import pytest
import torch

from refinenet_core.networks.normalisation import (
    HALVES,
    check_image,
    normalise,
    resize,
    scaled_size,
)

CPU = torch.device("cpu")


def test_pixels_are_centred_by_mean_and_deviation_of_each_channel():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 255

    pixels = normalise([image, image[:, ::-1]], CPU)

    black = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    white = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert pixels.dtype == torch.float32
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(pixels[0, :, 0].T, [black, white], rtol=1e-5)
    np.testing.assert_allclose(pixels[1, :, 0].T, [white, black], rtol=1e-5)


def test_another_mean_and_deviation_may_be_given():
    image = np.array([[[0, 255, 51]]], np.uint8)

    pixels = normalise([image], CPU, HALVES)

    np.testing.assert_allclose(pixels.flatten(), [-1, 1, -0.6], rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype float32; expected uint8"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((4, 0, 3), np.uint8), r"shape \(4, 0, 3\)"),
    ],
)
def test_what_is_no_rgb_image_of_bytes_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        check_image(image)


def test_sides_are_scaled_by_truncation_and_never_vanish():
    assert scaled_size(360, 480, 0.4) == (144, 192)
    assert scaled_size(333, 77, 0.6) == (199, 46)
    assert scaled_size(1, 1, 0.3) == (1, 1)


def test_resizing_keeps_what_has_the_size_and_puts_pixels_between_others():
    images = torch.tensor([[[[0.0, 4.0]]]])

    assert resize(images, (1, 2)) is images
    assert resize(images, (1, 4)).flatten().tolist() == [0, 1, 3, 4]
