"""Preparing a job: the device that it gets, and what is refused before anything starts."""

import shutil
import subprocess
import sys

import pytest

from pipeline.errors import SpecError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.output_folder import Output
from pipeline.storage.storage import Storage
from tiny_job import save_checkpoint


def prepared(job, gpus, **resources):
    job.spec["resources"] = {"threads_per_actor": 1, **resources}
    return prepare_job(job.validated(), Storage(), gpus=gpus)


def test_the_cpu_may_be_asked_for_beside_gpus(tiny_job):
    alone, holding_gpus = (
        prepared(tiny_job, 4, device="cpu"),
        prepared(tiny_job, 4, device="cpu", gpus_per_actor=0.5),
    )

    assert (alone.gpus_per_actor, alone.device) == (0, "cpu")
    assert (holding_gpus.gpus_per_actor, holding_gpus.device) == (0.5, "cpu")
    assert holding_gpus.fingerprint == alone.fingerprint
    assert alone.fingerprint["precision"] == "float32"


def test_a_gpu_that_is_asked_for_and_not_there_is_refused(tiny_job):
    with pytest.raises(SpecError, match=r"resources.device: is 'cuda', but there is no GPU here"):
        prepared(tiny_job, 0, device="cuda")


def test_a_gpu_is_taken_by_itself_where_there_is_one(tiny_job):
    with_gpus, without = prepared(tiny_job, 2), prepared(tiny_job, 0)

    assert (with_gpus.gpus_per_actor, with_gpus.device) == (1, "cuda")
    assert (without.gpus_per_actor, without.device) == (0, "cpu")


def test_an_output_among_the_images_is_refused(tiny_job):
    tiny_job.dataset["images"] = str(tiny_job.root)
    tiny_job.dataset["targets"] = None

    with pytest.raises(SpecError, match=r"lies where datasets\[0\].images, .* lists files"):
        prepared(tiny_job, 0)


PROGRAM = """
import sys
from pipeline import JobSpec
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.output_folder import Output
from pipeline.storage.storage import Storage

spec, storage = JobSpec.from_yaml(sys.argv[1]), Storage()
job = prepare_job(spec, storage, known=Output(spec.output, storage).record())
print(job.fingerprint["checkpoint_sha256"], job.spec.network.num_classes, "torch" in sys.modules)
"""


def prepared_in_a_process(job):
    arguments = [sys.executable, "-c", PROGRAM, str(job.write_spec())]
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


def test_a_checkpoint_that_the_same_job_has_loaded_is_not_loaded_again(tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    Output(job.spec.output, Storage()).claim(job)

    done = prepared_in_a_process(tiny_job)

    assert done.stdout.split() == [job.checkpoint.sha256, "4", "False"], done.stderr


def test_another_checkpoint_under_the_same_name_is_loaded_and_checked(tiny_job, tmp_path):
    mine = tmp_path / "mine.pth"
    shutil.copy(tiny_job.spec["model"]["checkpoint"], mine)
    tiny_job.spec["model"]["checkpoint"] = str(mine)
    job = prepare_job(tiny_job.validated(), Storage())
    Output(job.spec.output, Storage()).claim(job)
    save_checkpoint(mine, num_classes=5)

    done = prepared_in_a_process(tiny_job)

    assert "CheckpointError" in done.stderr
    assert "is for 5 classes, the model has 4" in done.stderr


def test_the_same_checkpoint_for_another_network_is_checked(tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    Output(job.spec.output, Storage()).claim(job)
    tiny_job.spec["model"]["name"] = "refinenet_lw50"

    done = prepared_in_a_process(tiny_job)

    assert "does not fit model refinenet_lw50" in done.stderr
