"""Train the quickstart's network from random weights, on drawn scenes only.

    python -m jobs.quickstart.train --out refinenet_lw_mobilenet_v2-scenes.safetensors

Scenes 0 to 63 are the quickstart's; nothing here looks at them.
"""

import argparse
import copy
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from jobs.quickstart.scenes import CLASSES, COLOURS, Scene, make_scene
from refinenet_core import (
    ConfusionMatrix,
    MultiScalePredictor,
    RefineNet,
    build_model,
    save_checkpoint,
    scores,
)
from refinenet_core.networks.normalisation import normalise

MODEL = "refinenet_lw_mobilenet_v2"
TRAINING_SEED = 1_000_000
VALIDATION_SEED = 500_000

_PROGRESS_EVERY_S = 120.0

_log = logging.getLogger("jobs.quickstart.train")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: Number of steps; None to go by `minutes`.
        minutes: Length of the training loop where `steps` is None.
        seed: Seed of the weights, the crops and the augmentation.
        num_scenes: Number of training scenes, drawn once before the first step.
        batch_images: Crops in a batch.
        crop_pixels: Height and width of a crop as the network sees it.
        learning_rate: The highest, reached after the warm-up.
        num_validation_scenes: Number of scenes of the last validation.
    """

    steps: int | None
    minutes: float
    seed: int = 0
    num_scenes: int = 3000
    batch_images: int = 8
    crop_pixels: int = 128
    learning_rate: float = 2e-3
    num_validation_scenes: int = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, write the checkpoint, and log its mIoU on scenes it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint file to write")
    parser.add_argument("--minutes", type=float, default=25.0, help="length of the training loop")
    parser.add_argument("--steps", type=int, help="number of steps; overrides --minutes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(Recipe(steps=options.steps, minutes=options.minutes, seed=options.seed), options.out)


def train(recipe: Recipe, out: Path) -> float:
    """Train a network and write it to `out`, now and then on the way and at the end.

    A recipe in steps gives the same batches again; one in minutes depends on the machine's speed.

    Returns:
        mIoU of the written weights on the validation scenes, a fraction.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    scenes = _draw(TRAINING_SEED, recipe.num_scenes)
    validation = _draw(VALIDATION_SEED, recipe.num_validation_scenes)
    _log.info("drew %d training scenes", len(scenes))
    model = build_model(MODEL, num_classes=len(CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
    batches = _batches(scenes, recipe)
    started = reported = time.monotonic()
    step, progress, loss_sum, loss_count = 0, 0.0, 0.0, 0
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(progress)
        loss_sum += _train_step(model, optimizer, next(batches))
        loss_count += 1
        step, now = step + 1, time.monotonic()
        progress = step / recipe.steps if recipe.steps else (now - started) / (60 * recipe.minutes)
        if now - reported >= _PROGRESS_EVERY_S:
            score = _write_and_score(model, batches, validation[:16], out)
            _log.info("step %d: loss %.3f, mIoU %.3f", step, loss_sum / loss_count, score)
            reported, loss_sum, loss_count = time.monotonic(), 0.0, 0
    score = _write_and_score(model, batches, validation, out)
    _log.info(
        "%d steps in %.1f minutes: mIoU %.4f on %d unseen scenes",
        *(step, (time.monotonic() - started) / 60, score, len(validation)),
    )
    return score


def _draw(first_seed: int, count: int) -> list[Scene]:
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        return list(workers.map(make_scene, range(first_seed, first_seed + count), chunksize=32))


def _schedule(progress: float) -> float:
    """Rise over the first twentieth, then fall along a cosine; `progress` and result in 0 to 1."""
    warm_up = 0.05
    if progress < warm_up:
        return 0.05 + 0.95 * progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / (1 - warm_up))


def _train_step(
    model: RefineNet, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]
) -> float:
    images_BCHW, targets_BHW = batch
    logits_BCHW = functional.interpolate(
        model(images_BCHW), size=targets_BHW.shape[-2:], mode="bilinear", align_corners=False
    )
    loss = functional.cross_entropy(logits_BCHW, targets_BHW)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
    optimizer.step()
    return loss.item()


def _batches(scenes: Sequence[Scene], recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (B, 3, H, W), normalised, and targets (B, H, W) without end.

    Half of the batches are cut smaller or larger and resized, so that the network knows the
    textures at the scales of multi-scale inference.
    """
    rng = random.Random(recipe.seed)  # noqa: S311 - crops, not secrets
    size = recipe.crop_pixels
    while True:
        cut = rng.randint(size * 3 // 4, size * 11 // 8) if rng.random() < 0.5 else size
        crops = [_crop(rng, rng.choice(scenes), cut) for _ in range(recipe.batch_images)]
        images_BCHW = normalise([image for image, _ in crops], torch.device("cpu"))
        targets_BHW = torch.from_numpy(np.stack([target for _, target in crops]))
        if cut != size:
            images_BCHW = functional.interpolate(
                images_BCHW, size=(size, size), mode="bilinear", align_corners=False, antialias=True
            )
            targets_BHW = functional.interpolate(
                targets_BHW[:, None], size=(size, size), mode="nearest-exact"
            )[:, 0]
        yield images_BCHW.contiguous(memory_format=torch.channels_last), targets_BHW.long()


def _crop(
    rng: random.Random, scene: Scene, cut: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a square, flip and turn it, swap its colour channels and change their strengths."""
    height, width = scene.target.shape
    top, left = rng.randint(0, height - cut), rng.randint(0, width - cut)
    image = scene.image[top : top + cut, left : left + cut]
    target = scene.target[top : top + cut, left : left + cut]
    if rng.random() < 0.5:
        image, target = image.transpose(1, 0, 2), target.T
    rows, columns = slice(None, None, rng.choice((1, -1))), slice(None, None, rng.choice((1, -1)))
    gains = np.array([rng.uniform(0.8, 1.25) for _ in range(3)], np.float32)
    lit = image[rows, columns][..., rng.sample(range(3), 3)] * gains
    return np.clip(lit, 0, 255).astype(np.uint8), target[rows, columns]


def _write_and_score(
    model: RefineNet,
    batches: Iterator[tuple[Tensor, Tensor]],
    validation: Sequence[Scene],
    out: Path,
) -> float:
    """Write what `model` has learnt so far, and return the mIoU of just those weights."""
    settled = _settle_norms(model, batches)
    rounded = settled.half()
    score = _mean_iou(copy.deepcopy(rounded).float(), validation)
    partial = out.with_name(f"{out.name}.partial")
    save_checkpoint(
        rounded,
        partial,
        classes=CLASSES,
        colours=COLOURS,
        ignore_index=255,
        scales=(1.0,),
        miou=score,
    )
    partial.replace(out)
    return score


def _settle_norms(model: RefineNet, batches: Iterator[tuple[Tensor, Tensor]]) -> RefineNet:
    """Copy the model, and average its running statistics anew, with the weights held still."""
    settled = copy.deepcopy(model).train()
    for module in settled.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over the batches that follow
    with torch.inference_mode():
        for _ in range(50):
            settled(next(batches)[0])
    return settled


def _mean_iou(model: RefineNet, scenes: Sequence[Scene]) -> float:
    """Score a network as the product does, at a single scale."""
    confusion = ConfusionMatrix(len(CLASSES))
    predictor = MultiScalePredictor(model)
    for scene in scenes:
        [prediction] = predictor.predict([scene.image])
        confusion.update(prediction.labels, scene.target)
    found = scores(confusion.counts)
    _log.info("IoU: %s", ", ".join(f"{n} {x:.3f}" for n, x in zip(CLASSES, found.iou, strict=True)))
    return found.miou


if __name__ == "__main__":
    main()
