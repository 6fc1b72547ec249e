"""The quickstart: a data set of generated scenes, a built-in checkpoint, and the ordinary run."""

import io
import json
import shutil
from pathlib import Path
from string import Template

import numpy as np
import pyarrow.dataset
from PIL import Image

from jobs.quickstart.pictures import side_by_side
from jobs.quickstart.scenes import CLASSES, COLOURS, write_dataset
from pipeline import JobSpec
from pipeline.errors import OutputError
from pipeline.storage.uris import shown

_CHECKPOINT = Path(__file__).with_name("refinenet_lw_mobilenet_v2-scenes.safetensors")
_TEMPLATE = Path(__file__).with_name("quickstart.yaml")


def prepare(folder: Path, images: int) -> JobSpec:
    """Write scenes that the model was not trained on, and a spec for the ordinary run.

    Args:
        folder: Gets `scenes/`, `checkpoint.safetensors`, `spec.yaml` and, by running the spec,
            `results/`.
        images: Number of scenes; their seeds are 0 to `images` - 1.

    Raises:
        OutputError: The folder holds a quickstart of another size.
    """
    folder = folder.absolute()
    scenes = folder / "scenes"
    there = len(list((scenes / "images").glob("*.png")))
    if spec_path(folder).exists() and there != images:
        raise OutputError(
            str(folder),
            f"holds a quickstart of {there} scenes, not {images}; give another folder, or "
            f"--images {there}",
        )
    write_dataset(scenes, range(images))
    shutil.copyfile(_CHECKPOINT, folder / "checkpoint.safetensors")
    spec_path(folder).write_text(_spec(folder), encoding="utf-8")
    return JobSpec.from_yaml(spec_path(folder))


def spec_path(folder: Path) -> Path:
    """Return where the quickstart's spec lies."""
    return folder / "spec.yaml"


def draw_pictures(folder: Path, spec: JobSpec) -> Path:
    """Draw each scene's image, target, prediction and overlay; return the folder of pictures."""
    pictures = folder.absolute() / "pictures"
    pictures.mkdir(exist_ok=True)
    masks = pyarrow.dataset.dataset(f"{shown(spec.output)}/masks", format="parquet")
    columns = ["key", "uri", "target_uri", "mask"]
    for batch in masks.to_batches(columns=columns, batch_size=16):
        for row in batch.to_pylist():
            if row["mask"] is not None:
                picture = side_by_side(
                    np.asarray(Image.open(shown(row["uri"]))),
                    np.asarray(Image.open(shown(row["target_uri"]))),
                    np.asarray(Image.open(io.BytesIO(row["mask"]))),
                    classes=CLASSES,
                    colours=COLOURS,
                )
                picture.save(pictures / f"{row['key']}.png")
    return pictures


def _spec(folder: Path) -> str:
    values = {
        "checkpoint": str(folder / "checkpoint.safetensors"),
        "images": str(folder / "scenes" / "images" / "*.png"),
        "targets": str(folder / "scenes" / "targets" / "{stem}.png"),
        "output": str(folder / "results"),
    }
    # JSON is YAML: quoting and escaping come with it.
    quoted = {name: json.dumps(value) for name, value in values.items()}
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(quoted)
