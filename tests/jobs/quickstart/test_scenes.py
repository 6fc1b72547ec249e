"""The quickstart's scenes: the same everywhere, labelled throughout, not to be told by colour."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from jobs.quickstart.scenes import CLASSES, COLOURS, make_scene, write_dataset
from refinenet_core import confusion_matrix, scores

QUICKSTART_SEEDS = range(64)


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(seed) for seed in QUICKSTART_SEEDS]


def test_a_seed_gives_the_same_scene_every_time():
    first, second = make_scene(7), make_scene(7)

    assert first.image.tobytes() == second.image.tobytes()
    assert first.target.tobytes() == second.target.tobytes()


def test_scene_123_is_the_one_the_shipped_weights_were_trained_for():
    """A scene that drifts leaves the trained weights behind: retrain, then record the new hash."""
    scene = make_scene(123)

    digest = hashlib.sha256(scene.image.tobytes() + scene.target.tobytes()).hexdigest()

    assert digest == "ad567cf1d40a40af59899bc0b11c85925463e6684eb79ba77f0ef93f7012ac88"


def test_different_seeds_give_different_scenes(scenes):
    digests = {hashlib.sha256(scene.image.tobytes()).digest() for scene in scenes}

    assert len(digests) == len(scenes)


def test_images_and_targets_are_uint8_of_one_height_and_width_and_three_sizes_occur(scenes):
    for scene in scenes:
        assert scene.image.dtype == scene.target.dtype == np.uint8
        assert scene.image.shape == (*scene.target.shape, 3)

    assert {scene.target.shape for scene in scenes} == {(192, 256), (256, 192), (208, 240)}


def test_targets_hold_class_ids_only(scenes):
    assert max(int(scene.target.max()) for scene in scenes) < len(CLASSES) == len(COLOURS)


def test_every_class_covers_at_least_three_percent_of_the_quickstart_scenes(scenes):
    counts = sum(np.bincount(scene.target.ravel(), minlength=len(CLASSES)) for scene in scenes)

    shares = dict(zip(CLASSES, counts / counts.sum(), strict=True))

    assert min(shares.values()) >= 0.03, shares


def test_colour_alone_does_not_tell_the_classes_apart(scenes):
    training = [make_scene(seed) for seed in range(1_000_000, 1_000_100)]
    rng = np.random.default_rng(0)
    colours, labels = _pixels(training)
    chosen = rng.choice(len(labels), 20_000, replace=False)
    classifier = LogisticRegression(max_iter=500, class_weight="balanced")

    classifier.fit(colours[chosen], labels[chosen])
    colours, labels = _pixels(scenes)
    counts = confusion_matrix(classifier.predict(colours), labels, num_classes=len(CLASSES))
    miou = scores(counts).miou

    assert miou < 0.5, f"logistic regression on RGB reaches mIoU {miou:.3f}"


def test_a_written_dataset_decodes_to_the_scenes_with_the_palette(tmp_path):
    write_dataset(tmp_path, [3, 123])

    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert names == [
        *("images/scene-000003.png", "images/scene-000123.png"),
        *("targets/scene-000003.png", "targets/scene-000123.png"),
    ]
    for seed in (3, 123):
        scene = make_scene(seed)
        with Image.open(tmp_path / "images" / f"scene-{seed:06d}.png") as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), scene.image)
        with Image.open(tmp_path / "targets" / f"scene-{seed:06d}.png") as target:
            assert target.mode == "P"
            assert target.getpalette()[: 3 * len(COLOURS)] == [c for rgb in COLOURS for c in rgb]
            np.testing.assert_array_equal(np.asarray(target), scene.target)


def test_writing_a_dataset_again_adds_what_is_missing_and_leaves_the_rest_alone(tmp_path):
    write_dataset(tmp_path, [5])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}

    write_dataset(tmp_path, [5, 6])

    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert len(after) == 4
    assert {path: after[path] for path in before} == before


def _pixels(scenes):
    colours = np.concatenate([scene.image.reshape(-1, 3) for scene in scenes])
    return colours / 255, np.concatenate([scene.target.ravel() for scene in scenes])
