"""A Ray cluster that a run joins: the way in, and what must be there before any work."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ClusterError
from pipeline.execution.actor_pool import ClusterNodes, Node
from pipeline.execution.ray_session import configure_ray, holding_back, running_ray
from pipeline.execution.ray_token import send_token
from pipeline.execution.required_env import check_names, refuse_unset, unset
from pipeline.execution.ship_code import write_code

_PACKAGES = ("pipeline", "refinenet_core")  # what workers import
_IN_SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it, and the code is there already
_CONNECT_TIMEOUT_S = 10
_NODE_TIMEOUT_S = 120  # a node's first task, for which it unpacks the code and starts Python


@contextlib.contextmanager
def joined_cluster(
    address: str | None, require_env: Sequence[str] = ()
) -> Iterator[ClusterNodes | None]:
    """Run within a cluster, whose workers get this code; without an address, on this machine.

    Args:
        address: "auto", or HOST:PORT of a cluster that this machine belongs to.
        require_env: Variables that must be set here and on each node that takes work.

    Yields:
        The cluster's nodes; None without an address.

    Raises:
        ClusterError: There is no such cluster, it refuses, or a node does not answer.
        SpecError: A variable is not set somewhere.
    """
    check_names(require_env)
    missing = [(name, f"on {socket.gethostname()}, where it starts") for name in unset(require_env)]
    if address is None:
        refuse_unset(missing)
        yield None
        return
    _check_address(address)
    configure_ray()
    send_token()
    with contextlib.ExitStack() as connection:
        _connect(address, connection)
        nodes = _working_nodes()
        if require_env:
            refuse_unset([*missing, *_unset_on(nodes, require_env, address)])
        yield ClusterNodes(address, nodes)


def _check_address(address: str) -> None:
    """Refuse what Ray would wait for in vain."""
    if "://" in address:
        raise ClusterError(
            address,
            "is the address of a server, which a run cannot join; `refinenet-batch submit` takes "
            "http://HEAD:8265, and `run` on a machine of the cluster takes `auto`",
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise ClusterError(address, "is no address of a cluster; give `auto` or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            address,
            f"nothing answers there ({error}); give the address that `ray start --head` printed",
        ) from error


def _connect(address: str, connection: contextlib.ExitStack) -> None:
    import ray  # noqa: PLC0415 - takes a second
    from ray.exceptions import AuthenticationError, RayError  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        runtime_env = None
        if _IN_SUBMITTED_JOB not in os.environ:
            write_code(Path(folder), _PACKAGES)
            runtime_env = {"working_dir": folder}
        try:
            if address != "auto":  # of a server of another kind, ray.init would ask for ever
                core: Any = ray._raylet  # noqa: SLF001 - public nowhere; Ray is pinned
                with holding_back(b"gcs_client.cc", b"rpc_client.h"):
                    core.GcsClient(address=address)
            connection.enter_context(running_ray(address, runtime_env))
        except AuthenticationError as error:
            raise ClusterError(
                address,
                "refuses the token, or got none; give the cluster's in RAY_AUTH_TOKEN, in the file "
                "that RAY_AUTH_TOKEN_PATH names, or in ~/.ray/auth_token",
            ) from error
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise ClusterError(address, f"cannot be joined: {error}") from error


def _working_nodes() -> tuple[Node, ...]:
    """Return the nodes that take tasks: one without CPUs, as many a head is, gets none."""
    import ray  # noqa: PLC0415

    list_nodes: Any = ray.nodes
    found = [(node, node["Resources"]) for node in list_nodes() if node["Alive"]]
    return tuple(
        Node(node["NodeID"], node["NodeManagerAddress"], has["CPU"], has.get("GPU", 0))
        for node, has in found
        if has.get("CPU")
    )


def _unset_on(nodes: Sequence[Node], names: Sequence[str], address: str) -> list[tuple[str, str]]:
    """Return which variables are not set for tasks on which nodes."""
    import ray  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    task: Any = ray.remote(num_cpus=0, max_retries=0)(unset)
    answers = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote(list(names))
        for node in nodes
    ]
    missing = []
    for node, answer in zip(nodes, answers, strict=True):
        try:
            found: list[str] = ray.get(answer, timeout=_NODE_TIMEOUT_S)
        except ray.exceptions.RayError as error:
            raise ClusterError(address, f"node {node.ip} cannot be asked: {error}") from error
        missing += [(name, f"on node {node.ip} ({node.node_id[:8]})") for name in found]
    return missing
