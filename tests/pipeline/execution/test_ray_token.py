"""The token of a cluster's users: sent where there is one, and as it was set by hand."""

import os

import pytest

from pipeline.execution.ray_token import send_token


@pytest.mark.parametrize("mode", ["disabled", "token", ""])
def test_a_mode_that_is_set_stays_even_if_there_is_a_token(monkeypatch, mode):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token")
    monkeypatch.setenv("RAY_AUTH_MODE", mode)

    send_token()

    assert os.environ["RAY_AUTH_MODE"] == mode
