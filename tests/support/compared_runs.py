"""Two runs of the same images, to be compared."""

import json
import shutil

from pipeline import JobSpec, run
from tiny_job import TinyJob


def run_twice(root, checkpoint):
    """Run a job at one scale and, from a copy of its images in another folder, at two."""
    job = TinyJob.make(root, checkpoint)
    job.spec["inference"]["scales"] = [1.0]
    run(JobSpec.from_mapping(job.spec))
    moved = TinyJob(job.root.with_name(f"{job.root.name}-moved"), json.loads(json.dumps(job.spec)))
    for folder in ("images", "targets"):
        shutil.copytree(job.root / folder, moved.root / folder)
    (moved.root / "images/picture-11.png").unlink()
    (moved.root / "images/picture-03.png").write_bytes(b"no image")
    moved.spec["inference"]["scales"] = [0.5, 1.0]
    moved.spec["part_images"] = 4
    moved.dataset["images"] = str(moved.root / "images/*.png")
    moved.dataset["targets"] = str(moved.root / "targets/{stem}.png")
    moved.spec["output"] = str(moved.root / "output")
    moved.spec["tolerance"] = {"failed_images": 1}
    run(JobSpec.from_mapping(moved.spec))
    return job, moved
