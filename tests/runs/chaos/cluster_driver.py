"""The product's command on a Ray cluster of three nodes on this machine, one of which can be lost.

A line on standard input with the number of a worker node, 0 or 1, removes that node at once.
"""

import os
import sys
import threading

import ray
from ray.cluster_utils import Cluster

import jobs.cli

_STORE_BYTES = 200 << 20
_SYSTEM_CONFIG = {  # a lost node is noticed after some 2 s, not 15
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}


def main() -> None:
    """Start the nodes, run the command with the arguments given, end the nodes."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    options = {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
    head = {"num_cpus": 0, "_system_config": _SYSTEM_CONFIG, **options}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    workers = [cluster.add_node(num_cpus=1, **options) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    threading.Thread(target=_remove_nodes, args=(cluster, workers), daemon=True).start()
    try:
        jobs.cli.main()
    finally:
        ray.shutdown()
        cluster.shutdown()


def _remove_nodes(cluster: Cluster, workers: list) -> None:
    for line in sys.stdin:
        cluster.remove_node(workers[int(line)], allow_graceful=False)


if __name__ == "__main__":
    main()
