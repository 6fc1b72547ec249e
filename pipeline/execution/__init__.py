"""The stages on Ray Data: the actor pool, the cluster, signals, progress, timings."""
