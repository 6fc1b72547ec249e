"""Preparing a job: the device that it gets, and what is refused before anything starts."""

import pytest

from pipeline.errors import SpecError
from pipeline.execution.prepare_job import prepare_job
from pipeline.storage.storage import Storage


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
