"""The product's command on a Ray whose metrics port is known, and which outlives the run.

The first argument is the port, the others are the command's. Once standard input ends, Ray does.
"""

import contextlib
import os
import sys

import ray

import jobs.cli


def main() -> None:
    """Start Ray, run the command, wait, end Ray."""
    port = int(sys.argv.pop(1))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _metrics_export_port=port,
        _system_config={"metrics_report_interval_ms": 1000},  # Ray takes no less
    )
    with contextlib.suppress(SystemExit):
        jobs.cli.main()
    sys.stdout.write("ended\n")
    sys.stdout.flush()
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
