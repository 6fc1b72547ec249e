"""Errors of the core: what they say, and that it reaches another process."""

import pickle

import pytest

from refinenet_core import CheckpointError, RefineNetError, build_model, load_checkpoint


def test_an_error_survives_pickling_as_workers_send_it():
    error = CheckpointError("a.pth", "is empty")

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (copy.source, copy.reason, str(copy)) == ("a.pth", "is empty", "a.pth: is empty")


def test_whatever_the_core_refuses_of_a_file_is_caught_as_its_own_error(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(b"no weights")

    with pytest.raises(RefineNetError) as caught:
        load_checkpoint(build_model("refinenet_lw_mobilenet_v2", device="meta"), file)

    assert caught.value.source == str(file)
    assert str(caught.value) == f"{file}: {caught.value.reason}"
