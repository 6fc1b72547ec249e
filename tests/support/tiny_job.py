"""A small job for tests: real files, a real network with random weights, a spec."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image

from pipeline import JobSpec
from refinenet_core import MultiScalePredictor, build_model, load_checkpoint, published_state_dict
from refinenet_core import save_checkpoint as save_own

MODEL = "refinenet_lw_mobilenet_v2"
CLASSES = ["ground", "stripes", "dots", "bricks"]
SIZES = [(40, 56), (56, 40), (48, 48)]  # height, width


@dataclass
class TinyJob:
    """Files of a job below `root`, and its spec as a mapping to be changed at will."""

    root: Path
    spec: dict[str, Any]

    @classmethod
    def make(cls, root: Path, checkpoint: Path, *, images: int = 12) -> "TinyJob":
        """Write images and targets; return the job."""
        for folder in ("images", "targets"):
            (root / folder).mkdir(parents=True)
        for number in range(images):
            image, target = picture(number)
            Image.fromarray(image).save(root / "images" / f"picture-{number:02d}.png")
            Image.fromarray(target).save(root / "targets" / f"picture-{number:02d}.png")
        spec = {
            "name": "tiny",
            "model": {"name": MODEL, "num_classes": 4, "checkpoint": str(checkpoint)},
            "inference": {"scales": [0.75, 1.0]},
            "datasets": [
                {
                    "name": "pictures",
                    "format": "folder",
                    "images": str(root / "images" / "*.png"),
                    "targets": str(root / "targets" / "{stem}.png"),
                    "classes": CLASSES,
                }
            ],
            "output": str(root / "output"),
            "part_images": 5,
            "resources": {"threads_per_actor": 1},
        }
        return cls(root, spec)

    @property
    def output(self) -> Path:
        """The output folder."""
        return Path(self.spec["output"])

    @property
    def dataset(self) -> dict[str, Any]:
        """The spec's only dataset."""
        return self.spec["datasets"][0]

    def validated(self) -> JobSpec:
        """Return the spec as the pipeline takes it."""
        return JobSpec.from_mapping(self.spec)

    def write_spec(self) -> Path:
        """Write the spec as YAML and return its path."""
        path = self.root / "spec.yaml"
        path.write_text(yaml.safe_dump(self.spec))
        return path

    def rows(self) -> list[dict[str, Any]]:
        """Return the mask table's rows, by index."""
        return read_rows(self.output)


def read_rows(output: Path) -> list[dict[str, Any]]:
    """Return every row of the mask tables in an output folder, in the order of the files."""
    files = sorted(output.glob("masks/dataset=*/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def picture(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (H, W, 3) and its target (H, W), with some pixels unlabelled."""
    height, width = SIZES[number % len(SIZES)]
    rng = np.random.default_rng(number)
    cells = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cells.repeat(8, axis=0).repeat(8, axis=1)
    target = (image[..., 0] // 64).astype(np.uint8)
    target[:2] = 255
    return np.ascontiguousarray(image), target


def save_own_checkpoint(path: Path) -> Path:
    """Save the same random weights in our own format, with class names and colours."""
    torch.manual_seed(0)
    model = build_model(MODEL, 4)
    with torch.no_grad():
        model.head.weight.mul_(20)
    colours = [(n, n, n) for n in range(4)]
    save_own(model, path, classes=CLASSES, colours=colours, ignore_index=255)
    return path


def save_checkpoint(path: Path, *, num_classes: int = 4) -> Path:
    """Save random weights whose classes compete, under the published names."""
    torch.manual_seed(0)
    model = build_model(MODEL, num_classes)
    with torch.no_grad():
        model.head.weight.mul_(20)
    torch.save(published_state_dict(model), path)
    return path


def predict(checkpoint: Path, image: np.ndarray, scales: list[float]) -> np.ndarray:
    """Return the labels that the predictor gives for one image alone."""
    model = build_model(MODEL, 4)
    load_checkpoint(model, checkpoint)
    return MultiScalePredictor(model, scales).predict([image])[0].labels


def decode_mask(data: bytes) -> np.ndarray:
    """Return a mask's class ids."""
    return np.asarray(Image.open(io.BytesIO(data)))
