"""Runs of the same images that stored their probabilities, and the fusion of them."""

import copy

from pipeline import run
from tiny_job import TinyJob

SCALES = [0.75, 1.0]


def run_to_be_fused(root, checkpoint):
    """Run a job at one scale each, and at both; return report and job by what they are."""
    job = TinyJob.make(root, checkpoint)
    (job.root / "images/picture-05.png").write_bytes(b"no image")
    done = {}
    for name, scales in {"0.75": SCALES[:1], "1.0": SCALES[1:], "both": SCALES}.items():
        each = TinyJob(job.root, copy.deepcopy(job.spec))
        each.spec["output"] = str(job.root / name)
        each.spec["inference"] = {"scales": scales, "probabilities": name != "both"}
        done[name] = each, run(each.validated())
    return done


def fusion(runs, output, **changes):
    """Return the spec of a fusion of the runs at one scale."""
    outputs = [runs[name][0].spec["output"] for name in ("0.75", "1.0")]
    return {
        "name": "fused",
        "fuse": outputs,
        "output": str(output),
        "resources": {"actors": {"min": 1, "max": 1}, "threads_per_actor": 1},
        **changes,
    }
