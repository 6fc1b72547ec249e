"""What an actor needs to start: its device, and the checkpoint that the job was prepared with."""

import pickle

import pytest
import torch

from pipeline import run
from pipeline.errors import ActorError, DeviceError
from pipeline.execution.observer import Silent
from pipeline.execution.prepare_job import prepare_job
from pipeline.stages.segmenter import Segmenter
from pipeline.storage.storage import Storage
from tiny_job import save_checkpoint

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def prepared(job, gpus, **resources):
    job.spec["resources"] = {"threads_per_actor": 1, **resources}
    return prepare_job(job.validated(), Storage(), gpus=gpus)


@without_gpu
def test_an_actor_without_the_gpu_that_ray_counts_names_its_machine(tiny_job):
    job = prepared(tiny_job, 1, gpus_per_actor=1)
    assert job.device == "cuda"

    with pytest.raises(
        DeviceError, match=r"PyTorch finds none: .* set resources.device to cpu"
    ) as e:
        Segmenter(job, Storage(), threads=1)

    assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)  # noqa: S301 - our own


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_why_no_actor_can_be_made_is_said_in_our_words(tiny_job, tmp_path):
    """The run once broke off with Ray's account of an actor that died, and nothing of why."""
    checkpoint = tmp_path / "checkpoint.pth"
    tiny_job.spec["model"]["checkpoint"] = str(save_checkpoint(checkpoint))

    class Vandal(Silent):
        def planned(self, _datasets):
            weights = torch.load(checkpoint)
            name = next(iter(weights))
            torch.save({**weights, name: weights[name] + 1}, checkpoint)

    with pytest.raises(
        ActorError, match=r"an actor cannot be made: .*has changed: SHA-256 \w+, was"
    ):
        run(tiny_job.validated(), Vandal())

    assert tiny_job.rows() == []
