"""The way to a job server: an address that leads to none, and Ray's own variables."""

import http.server
import os
import threading

import pytest

from jobs.submission.job_server import JobServer
from pipeline.errors import ClusterError

NOBODY = "http://127.0.0.1:9"  # nothing listens there


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


class NoRay(http.server.BaseHTTPRequestHandler):
    """A server of another kind."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def other_server():
    with http.server.HTTPServer(("127.0.0.1", 0), NoRay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(ClusterError, match=rf"{NOBODY}: the job server cannot be reached"):
        JobServer(NOBODY)


def test_a_server_of_another_kind_is_no_job_server_and_http_may_be_left_out(other_server):
    with pytest.raises(ClusterError, match=rf"http://{other_server}: is no job server of Ray"):
        JobServer(other_server)


def test_the_address_that_is_given_comes_before_rays_variables_which_stay(
    monkeypatch, other_server
):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", NOBODY)

    with pytest.raises(ClusterError, match="is no job server of Ray"):
        JobServer(f"http://{other_server}")

    assert os.environ["RAY_API_SERVER_ADDRESS"] == NOBODY


def test_without_an_address_rays_variable_names_the_server(monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", NOBODY)

    with pytest.raises(ClusterError, match=rf"{NOBODY}: the job server cannot be reached"):
        JobServer()
