"""A Ray cluster on this machine: a head that takes no work, four nodes with a GPU, one without.

The GPUs are pretended: Ray hands them out, and PyTorch finds none. The first line of standard
output tells, as JSON, the cluster's address and the process of each node. A line on standard input
with the number of a GPU node, from 0, removes that node at once; its end ends the cluster.
"""

import json
import os
import sys

from ray.cluster_utils import Cluster

_GPU_NODES = 4
_CPUS = (
    2  # of each node: with one, Ray keeps so much for reading and writing that a pool stays at 3
)
_SYSTEM_CONFIG = {  # a lost node is noticed after some 2 s, not 15
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}


def main() -> None:
    """Start the nodes, remove those that are named, end the rest."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    options = {"object_store_memory": 200 << 20, "include_dashboard": False}
    head = {"num_cpus": 0, "_system_config": _SYSTEM_CONFIG, **options}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    with_gpu = [cluster.add_node(num_cpus=_CPUS, num_gpus=1, **options) for _ in range(_GPU_NODES)]
    without = cluster.add_node(num_cpus=_CPUS, **options)
    told = {
        "address": cluster.address,
        "head": _process_id(cluster.head_node),
        "gpu": [_process_id(node) for node in with_gpu],
        "cpu": _process_id(without),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        cluster.remove_node(with_gpu[int(line)], allow_graceful=False)
    cluster.shutdown()


def _process_id(node: object) -> int:
    """Return the process that starts a node's workers."""
    [raylet] = node.all_processes["raylet"]
    return raylet.process.pid


if __name__ == "__main__":
    main()
