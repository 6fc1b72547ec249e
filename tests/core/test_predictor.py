"""Multi-scale averaging against the rule written out plainly."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from refinenet_core import MultiScalePredictor, build_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = build_model("refinenet_lw_mobilenet_v2", num_classes=5)
    with torch.no_grad():  # a random network is nearly constant: make its classes compete
        network.head.weight.mul_(20)
    return network.eval()


def random_image(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def plain_rule(model, image, scales, *, flip):
    """The published evaluation, one image and one map at a time."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy((image / 255 - mean) / std).float().permute(2, 0, 1)[None]
    height, width = image.shape[:2]
    maps = []
    for scale in scales:
        size = (max(1, int(scale * height)), max(1, int(scale * width)))
        scaled = functional.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
        for mirrored in (False, True) if flip else (False,):
            with torch.inference_mode():
                low = model(scaled.flip(3) if mirrored else scaled).softmax(1)
            low = low.flip(3) if mirrored else low
            maps.append(
                functional.interpolate(
                    low, size=(height, width), mode="bilinear", align_corners=False
                )
            )
    return torch.stack(maps).mean(0)[0].numpy()


@pytest.mark.parametrize("scales", [(1.0,), (0.4, 0.6, 0.8, 1.0, 1.2)])
@pytest.mark.parametrize("flip", [False, True])
def test_labels_and_confidence_follow_the_plain_rule(model, scales, flip):
    images = [random_image(45, 61, 1), random_image(64, 48, 2), random_image(45, 61, 3)]
    predictor = MultiScalePredictor(model, scales, flip=flip)

    predictions = predictor.predict(images)

    for image, prediction in zip(images, predictions, strict=True):
        expected = plain_rule(model, image, scales, flip=flip)
        best_two = np.sort(expected, axis=0)[-2:]
        clear = best_two[1] - best_two[0] > 1e-4
        assert len(np.unique(prediction.labels)) > 1
        np.testing.assert_array_equal(prediction.labels[clear], expected.argmax(0)[clear])
        np.testing.assert_allclose(prediction.confidence, expected.max(0), atol=1e-4)


def test_a_batch_gives_what_its_images_give_alone(model):
    images = [random_image(40, 56, seed) for seed in range(3)]

    together = MultiScalePredictor(model, batch_pixels=1 << 20).predict(images)
    alone = MultiScalePredictor(model, batch_pixels=1).predict(images)

    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-5)
        assert (one.labels == other.labels).mean() > 0.999


def test_bfloat16_agrees_with_float32_on_nearly_all_pixels(model):
    image = random_image(96, 96)

    [half] = MultiScalePredictor(model, precision="bfloat16").predict([image])
    [full] = MultiScalePredictor(model).predict([image])

    assert half.confidence.dtype == np.float32
    assert (half.labels == full.labels).mean() > 0.9
    assert (half.confidence != full.confidence).any()


def test_the_callers_model_is_not_changed(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()

    MultiScalePredictor(model, precision="bfloat16").predict([random_image(32, 32)])

    assert model.training
    assert next(model.parameters()).requires_grad
    after = model.state_dict()
    model.eval()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        assert torch.equal(after[name], tensor)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 47), (200, 3)])
def test_any_size_gives_labels_of_that_size(model, size):
    [prediction] = MultiScalePredictor(model, (0.4, 1.0)).predict([random_image(*size)])

    assert prediction.labels.shape == prediction.confidence.shape == size
    assert prediction.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": ()}, "at least one"),
        ({"scales": (1.0, 0.0)}, "above 0"),
        ({"precision": "float8"}, "float8.*choose auto"),
        ({"batch_pixels": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiScalePredictor(model, **arguments)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "at least one"),
        ([np.zeros((4, 4, 3), np.uint16)], "uint16"),
        ([np.zeros((4, 4, 4), np.uint8)], r"\(4, 4, 4\)"),
        ([np.zeros((0, 4, 3), np.uint8)], r"\(0, 4, 3\)"),
    ],
)
def test_wrong_images_are_refused(model, images, message):
    with pytest.raises(ValueError, match=message):
        MultiScalePredictor(model).predict(images)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpus_labels_in_float32_and_the_same_bytes_twice(model):
    images = [random_image(96, 128, seed) for seed in range(4)]
    scales = (0.6, 1.0, 1.2)

    on_cpu = MultiScalePredictor(model, scales).predict(images)
    on_gpu = MultiScalePredictor(model, scales, device="cuda").predict(images)
    again = MultiScalePredictor(model, scales, device="cuda").predict(images)

    for cpu, gpu, second in zip(on_cpu, on_gpu, again, strict=True):
        assert (cpu.labels == gpu.labels).mean() >= 0.9999
        assert gpu.labels.tobytes() == second.labels.tobytes()
        assert gpu.confidence.tobytes() == second.confidence.tobytes()
