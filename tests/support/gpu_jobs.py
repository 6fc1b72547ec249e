"""Whole jobs through the local executor, for the check on a GPU."""

import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from jobs.quickstart.scenes import make_scene
from pipeline import JobSpec, RunReport, run

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "jobs/quickstart/refinenet_lw_mobilenet_v2-scenes.safetensors"


class Jobs:
    """Jobs on scenes that are drawn here, with the checkpoint that is shipped.

    Args:
        folder: Where images and outputs go.
        dry: Few and small images, and the CPU in the GPU's place.
    """

    def __init__(self, folder: Path, *, dry: bool) -> None:
        self.folder = folder
        self.dry = dry
        self.device = "cpu" if dry else "cuda"

    def labels_against_the_cpu(self) -> dict[str, Any]:
        """Predict images of 40 sizes in float32, on the CPU once and on the GPU twice."""
        images = self.folder / "sizes"
        images.mkdir()
        for number in range(3 if self.dry else 40):
            pixels = make_scene(number).image
            height, width = pixels.shape[0] - 2 * number, pixels.shape[1] - 3 * (number % 20)
            Image.fromarray(pixels[:height, :width]).save(images / f"{number:03d}.png")
        devices = {"once": self.device, "twice": self.device} | ({} if self.dry else {"cpu": "cpu"})
        reports = {
            name: self._run(images, name, device, scales=[0.6, 1.0])
            for name, device in devices.items()
        }
        on_cpu, once = self._masks("twice" if self.dry else "cpu"), self._masks("once")
        equal = sum(int((on_cpu[key] == once[key]).sum()) for key in on_cpu)
        return {
            "images": len(on_cpu),
            "agreement_with_cpu": equal / sum(mask.size for mask in on_cpu.values()),
            "same_bytes_twice": self._digest("once") == self._digest("twice"),
            "predict_s": {
                name: report.timings.stage_s.predict_s for name, report in reports.items()
            },
        }

    def want_of_memory(self) -> dict[str, Any]:
        """Predict a large image with little of the GPU's memory left; then with all of it."""
        images = self.folder / "large"
        images.mkdir()
        scene = Image.fromarray(make_scene(3).image)
        scene.resize((400, 300) if self.dry else (4000, 3000)).save(images / "large.png")
        held = None
        if not self.dry:
            self._run(images, "roomy", self.device, scales=[1.0])
            free, _ = torch.cuda.mem_get_info()
            held = torch.empty(free - (2 << 30), dtype=torch.uint8, device="cuda")
        self._run(images, "tight", self.device, scales=[1.0])
        del held
        torch.cuda.empty_cache()
        roomy = self._masks("tight" if self.dry else "roomy")["large"]
        tight = self._masks("tight")["large"]
        [row] = self._rows("tight")
        return {
            "status": row["status"],
            "flags": row["flags"],
            "agreement": float((roomy == tight).mean()),
        }

    def share_busy(self) -> dict[str, Any]:
        """Predict many JPEGs of 500x375; say for which share of the time the predictor worked."""
        images = self.folder / "many"
        images.mkdir()
        files = []
        for seed in range(2 if self.dry else 32):
            buffer = io.BytesIO()
            scene = Image.fromarray(make_scene(seed).image).resize((500, 375))
            scene.save(buffer, "JPEG", quality=92)
            files.append(buffer.getvalue())
        for number in range(4 if self.dry else 2048):
            (images / f"{number:05d}.jpg").write_bytes(files[number % len(files)])
        report = self._run(images, "busy", self.device, scales=[1.0], precision="auto")
        timings = report.timings
        stages = timings.stage_s
        return {
            "images": sum(timings.images.values()),
            "images_per_s_of_making": sum(timings.images.values()) / timings.making_s,
            "predictor_busy": stages.predict_s / timings.making_s,
            "making_s": timings.making_s,
            "startup_s": timings.startup_s,
            "decode_s": stages.decode_s,
            "predict_s": stages.predict_s,
            "encode_s": stages.encode_s,
        }

    def _run(
        self,
        images: Path,
        name: str,
        device: str,
        *,
        scales: list[float],
        precision: str = "float32",
    ) -> RunReport:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        spec = {
            "name": name,
            "model": {"name": "refinenet_lw_mobilenet_v2", "checkpoint": str(CHECKPOINT)},
            "inference": {"scales": scales, "precision": precision},
            "datasets": [{"name": "scenes", "images": str(images)}],
            "output": str(self.folder / name),
            "resources": {"executor": "local", "device": device},
        }
        report = run(JobSpec.from_mapping(spec))
        if not report.complete:
            raise RuntimeError(f"job {name} is not complete: {report}")
        return report

    def _rows(self, name: str) -> list[dict[str, Any]]:
        files = sorted((self.folder / name).glob("masks/dataset=*/*.parquet"))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def _masks(self, name: str) -> dict[str, np.ndarray]:
        return {
            Path(row["key"]).stem: np.asarray(Image.open(io.BytesIO(row["mask"])))
            for row in self._rows(name)
        }

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for file in sorted((self.folder / name).glob("masks/dataset=*/*.parquet")):
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()
