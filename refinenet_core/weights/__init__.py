"""Weights files: reading any that people hold, and writing one that says all that a job needs."""
