"""The way into a cluster: what is refused before Ray is asked for anything."""

import socket

import pytest

from pipeline.errors import ClusterError, SpecError
from pipeline.execution.cluster import joined_cluster


def join(*arguments):
    with joined_cluster(*arguments) as nodes:
        return nodes


def test_without_an_address_the_run_stays_on_this_machine(monkeypatch):
    monkeypatch.setenv("IS_SET", "x")

    assert join(None, ["IS_SET"]) is None


def test_a_variable_that_is_not_set_here_is_named_with_this_machine(monkeypatch):
    monkeypatch.delenv("IS_MISSING", raising=False)

    with pytest.raises(SpecError, match=f"IS_MISSING is not set on {socket.gethostname()}"):
        join(None, ["IS_MISSING"])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://head:8265", "is the address of a server, which a run cannot join"),
        ("head", "is no address of a cluster; give `auto` or HOST:PORT"),
        ("head:port", "is no address of a cluster"),
        (":6379", "is no address of a cluster"),
        ("127.0.0.1:99999", "nothing answers there"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address, words):
    with pytest.raises(ClusterError, match=words):
        join(address)


def test_an_address_where_nothing_listens_is_told():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"

        with pytest.raises(ClusterError, match=r"nothing answers there .*Connection refused"):
            join(address)
