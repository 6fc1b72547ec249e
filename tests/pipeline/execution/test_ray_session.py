"""What surrounds Ray: its environment, and the lines of its core that are held back."""

import os

import pytest

from pipeline.execution.ray_session import TASK_RETRIES, configure_ray, holding_back


def test_lines_with_one_of_the_words_are_dropped_and_the_others_come_later(capfd):
    with holding_back(b"gcs_client", b"rpc_client"):
        os.write(2, b"one\nan error in gcs_client.cc\ntwo\nrpc_client.h: again\n")
        within = capfd.readouterr().err

    assert within == ""
    assert capfd.readouterr().err == "one\ntwo\n"


def test_lines_come_out_if_what_is_done_fails(capfd):
    with pytest.raises(ValueError, match="broken"), holding_back(b"never"):  # noqa: PT012 - both
        os.write(2, b"before it broke\n")
        raise ValueError("broken")

    assert capfd.readouterr().err == "before it broke\n"


def test_what_is_set_for_ray_stays_and_the_rest_has_our_defaults(monkeypatch):
    monkeypatch.setenv("RAY_task_oom_retries", "")
    monkeypatch.delenv("RAY_task_oom_retries")
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "debug")

    configure_ray()

    assert os.environ["RAY_task_oom_retries"] == str(TASK_RETRIES)  # noqa: SIM112 - Ray's own name
    assert os.environ["RAY_BACKEND_LOG_LEVEL"] == "debug"
