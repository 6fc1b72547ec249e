"""Benchmarks of the pipeline without a network, and what they say of where a run saturates."""
