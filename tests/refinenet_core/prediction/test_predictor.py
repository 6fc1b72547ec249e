"""Multi-scale averaging against the rule written out plainly."""

import re
import weakref
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from competing_network import competing_network
from refinenet_core import MultiScalePredictor, list_models
from refinenet_core.networks.normalisation import IMAGENET
from refinenet_core.prediction.cuda_graphs import EAGER_USES, CapturedShapes
from refinenet_core.prediction.tiling import SMALLEST_TILE_PIXELS

LIKE_50 = re.compile("refinenet(_lw)?1(01|52)$|single|2cascade")  # deeper, or less of it
FIVE = (0.4, 0.6, 0.8, 1.0, 1.2)


competing = cache(competing_network)


@pytest.fixture(scope="module")
def model():
    return competing("refinenet_lw_mobilenet_v2")


def random_image(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width])


def plain_rule(model, image, scales, *, flip):
    """The published evaluation, one image and one map at a time."""
    normalisation = getattr(model, "normalisation", IMAGENET)
    mean, std = np.array(normalisation.mean), np.array(normalisation.std)
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


def assert_follows_the_plain_rule(prediction, model, image, scales, *, flip):
    expected = plain_rule(model, image, scales, flip=flip)
    best_two = np.sort(expected, axis=0)[-2:]
    clear = best_two[1] - best_two[0] > 1e-4
    np.testing.assert_array_equal(prediction.labels[clear], expected.argmax(0)[clear])
    np.testing.assert_allclose(prediction.confidence, expected.max(0), atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=12)
@given(
    name=st.sampled_from(["refinenet_lw_mobilenet_v2", "refinenet_lw_nasnet_mobile"]),
    sizes=st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=2),
    mix=st.lists(st.integers(0, 1), min_size=1, max_size=3),
    scales=st.lists(st.floats(0.3, 1.5), min_size=1, max_size=5),
    flip=st.booleans(),
    batch_pixels=st.sampled_from([1, 5000, None]),
)
def test_labels_and_confidence_follow_the_plain_rule(**drawn):
    network, scales, flip = competing(drawn["name"]), drawn["scales"], drawn["flip"]
    sizes = [drawn["sizes"][which % len(drawn["sizes"])] for which in drawn["mix"]]
    images = [random_image(*size, seed) for seed, size in enumerate(sizes)]
    predictor = MultiScalePredictor(network, scales, flip=flip, batch_pixels=drawn["batch_pixels"])

    predictions = predictor.predict(images)

    for image, prediction in zip(images, predictions, strict=True):
        assert_follows_the_plain_rule(prediction, network, image, scales, flip=flip)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if LIKE_50.search(name) else name
        for name in list_models()
    ],
)
def test_every_model_is_predicted_by_the_plain_rule(name):
    network = competing_network(name)  # twelve of them at once take gigabytes
    images = [random_image(45, 61, seed) for seed in range(2)]

    predictions = MultiScalePredictor(network, (0.6, 1.2), flip=True).predict(images)

    for image, prediction in zip(images, predictions, strict=True):
        assert len(np.unique(prediction.labels)) > 1
        assert_follows_the_plain_rule(prediction, network, image, (0.6, 1.2), flip=True)


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


class Small(nn.Module):
    """A network on a device of little memory, which captures take some of."""

    def __init__(self, pixels):
        super().__init__()
        self.free_pixels = pixels
        self.failed = []

    def forward(self, x_BCHW):
        assert all(failed() is None for failed in self.failed)
        if x_BCHW[:, 0].numel() > self.free_pixels:
            self.failed.append(weakref.ref(x_BCHW))
            raise torch.OutOfMemoryError("no more memory")
        return 5 * x_BCHW[..., ::4, ::4]

    def capture(self, work, given):
        pixels = given[..., 0].numel()
        self.free_pixels -= pixels

        def replay(images):
            return work(images)

        weakref.finalize(replay, self.give_back, pixels)
        return replay

    def give_back(self, pixels):
        self.free_pixels += pixels


def test_what_a_failed_attempt_held_is_gone_when_less_is_tried():
    """The exception held it while the halves were predicted, so that they failed as well."""
    images = [random_image(40, 50, seed) for seed in range(4)]
    predictor = MultiScalePredictor(Small(40 * 50), batch_pixels=1 << 20)

    predictions = predictor.predict(images)

    assert len(predictor.network.failed) == 2
    assert all(prediction.shrunk for prediction in predictions)


def test_captures_are_let_go_before_a_batch_is_made_smaller():
    predictor = MultiScalePredictor(Small(100 * 100), batch_pixels=1 << 20)
    captured = predictor._captured = CapturedShapes(predictor.network.capture)  # noqa: SLF001
    for _ in range(EAGER_USES + 1):
        predictor.predict([random_image(60, 60)])
    assert captured.shapes == {(1, 60, 60, 3)}

    [large] = predictor.predict([random_image(100, 100)])

    assert captured.shapes == set()
    assert not large.shrunk


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("protocol", ["native", "authors"])
def test_on_a_gpu_captured_sizes_give_the_bytes_of_eager_ones(model, precision, protocol):
    settings = {"protocol": protocol, "device": "cuda", "precision": precision}
    predictor = MultiScalePredictor(model, FIVE, flip=True, probabilities=True, **settings)
    rounds = []

    for number in range(EAGER_USES + 3):
        images = [random_image(96, 128, seed) for seed in (number % 2, 2)]
        rounds.append(predictor.predict([*images, random_image(61, 45, number % 2)]))

    assert predictor._captured.shapes == {(2, 96, 128, 3), (1, 61, 45, 3)}  # noqa: SLF001
    for number, predictions in enumerate(rounds):
        for early, late in zip(rounds[number % 2], predictions, strict=True):
            assert early.labels.tobytes() == late.labels.tobytes()
            assert early.confidence.tobytes() == late.confidence.tobytes()
            assert early.probabilities.tobytes() == late.probabilities.tobytes()
            assert early.mean_confidence == late.mean_confidence


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("max_pixels_per_pass", [None, 1 << 18])
def test_a_gpu_is_not_waited_for_before_results_are_fetched(model, max_pixels_per_pass):
    images = [random_image(600, 700, seed) for seed in range(2)]
    predictor = MultiScalePredictor(
        model, (0.6, 1.0), device="cuda", max_pixels_per_pass=max_pixels_per_pass
    )
    [first, _] = predictor.predict(images)

    torch.cuda.set_sync_debug_mode("error")
    try:
        [second, _] = predictor.predict(images)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert first.labels.tobytes() == second.labels.tobytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_on_a_gpu_reduced_precision_agrees_on_nearly_all_pixels(model, precision):
    images = [random_image(96, 128, seed) for seed in range(4)]

    reduced = MultiScalePredictor(model, FIVE, device="cuda", precision=precision).predict(images)

    for full, half in zip(MultiScalePredictor(model, FIVE).predict(images), reduced, strict=True):
        assert (full.labels == half.labels).mean() > 0.9


class Overflowing(nn.Module):
    """A network whose logits do not fit into float16 where an image is white."""

    def forward(self, x_BCHW):
        return x_BCHW[..., ::4, ::4].relu() * 60_000


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 2.0)])
@pytest.mark.parametrize("protocol", ["native", "authors"])
@pytest.mark.parametrize("tiled", [False, True])
def test_probabilities_that_are_not_finite_are_told_of_and_harm_no_other_image(
    scales, protocol, tiled
):
    """NaN once became class 0 without a word."""
    side = 600 if tiled else 64
    images = [np.full((side, side, 3), value, np.uint8) for value in (0, 255, 0)]
    images[1][: side // 2] = 0  # in one half alone
    limits = {"max_pixels_per_pass": SMALLEST_TILE_PIXELS if tiled else 1 << 20}
    predictor = MultiScalePredictor(
        Overflowing(), scales, protocol=protocol, precision="float16", flip=True, **limits
    )

    predictions = predictor.predict(images)
    [alone] = predictor.predict(images[:1])

    assert [prediction.finite for prediction in predictions] == [True, False, True]
    np.testing.assert_array_equal(predictions[2].labels, alone.labels)
    assert MultiScalePredictor(Overflowing(), scales).predict([images[1]])[0].finite
