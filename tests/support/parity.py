"""The published implementations' weights and logits, as the reference data holds them."""

import importlib.util
import json

import numpy as np


def load_parity(shared, name):
    """Return the reference's weights, image maker and logits."""
    spec = importlib.util.spec_from_file_location("weights", shared / "parity" / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    facts = json.loads((shared / "parity" / f"{name}.json").read_text())
    return weights, facts, np.load(shared / "parity" / f"{name}.npz")
