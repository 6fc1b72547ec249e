"""Errors: what they say, and that it reaches another process."""

import pickle

import pytest

from pipeline import errors

ERRORS = [
    (errors.SpecError("spec.yaml", ("a: missing",)), "spec.yaml: a: missing"),
    (errors.SpecError("spec.yaml", ("a: no", "b: no")), "spec.yaml: 2 problems\n  a: no\n  b: no"),
    (errors.StorageError("s3://b/x", "is gone"), "s3://b/x: is gone"),
    (errors.StorageUnavailableError("s3://b/x", "is slow"), "s3://b/x: is slow"),
    (errors.StorageFullError("s3://b/x", "is full"), "s3://b/x: is full"),
    (errors.PlanError("voc", "has no images"), "dataset voc: has no images"),
    (errors.OutputError("s3://b/o", "is another's"), "s3://b/o: is another's"),
    (errors.ClusterError("ray://head", "is down"), "ray://head: is down"),
    (errors.DeviceError("node-7", "has no GPU"), "node-7: has no GPU"),
    (errors.ActorError("no memory"), "an actor cannot be made: no memory"),
    (errors.DecodeError("too_large", "is too large"), "is too large"),
    (errors.ShardBrokenError("ends early", at_end=True), "ends early"),
]
IDS = [type(error).__name__ for error, _ in ERRORS]


@pytest.mark.parametrize(("error", "text"), ERRORS, ids=IDS)
def test_an_error_says_the_thing_and_the_fault(error, text):
    assert str(error) == text


@pytest.mark.parametrize(("error", "text"), ERRORS, ids=IDS)
def test_an_error_survives_pickling_as_workers_send_it(error, text):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == text


def test_what_ends_a_run_is_an_error_of_the_pipeline_and_what_costs_an_image_is_not():
    ends_a_run = {type(error) for error, _ in ERRORS if isinstance(error, errors.PipelineError)}

    assert {type(error) for error, _ in ERRORS} - ends_a_run == {
        errors.DecodeError,
        errors.ShardBrokenError,
    }
