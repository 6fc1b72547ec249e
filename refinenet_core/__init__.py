"""RefineNet for semantic segmentation: the networks, their averaging and exact metrics.

Names are imported when they are first used: PyTorch takes two seconds and half a gigabyte, and
label sets and metrics do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refinenet_core.benchmark import BenchmarkRecord, run_benchmark
    from refinenet_core.errors import CheckpointError, RefineNetError
    from refinenet_core.labels.label_sets import LabelSet, label_set, list_label_sets
    from refinenet_core.metrics.boundary import boundary_counts
    from refinenet_core.metrics.confusion import ConfusionMatrix, confusion_matrix
    from refinenet_core.metrics.scores import ClassCounts, RuleScore, Scores, scores
    from refinenet_core.networks.costs import ModelCost, list_models, model_cost
    from refinenet_core.networks.models import RefineNet, build_model
    from refinenet_core.prediction.precisions import resolve_precision
    from refinenet_core.prediction.prediction import Prediction
    from refinenet_core.prediction.predictor import MultiScalePredictor
    from refinenet_core.weights.checkpoint_info import CheckpointInfo, CheckpointReport
    from refinenet_core.weights.checkpoints import (
        inspect_checkpoint,
        load_checkpoint,
        published_state_dict,
        save_checkpoint,
    )

__all__ = [
    "BenchmarkRecord",
    "CheckpointError",
    "CheckpointInfo",
    "CheckpointReport",
    "ClassCounts",
    "ConfusionMatrix",
    "LabelSet",
    "ModelCost",
    "MultiScalePredictor",
    "Prediction",
    "RefineNet",
    "RefineNetError",
    "RuleScore",
    "Scores",
    "boundary_counts",
    "build_model",
    "confusion_matrix",
    "inspect_checkpoint",
    "label_set",
    "list_label_sets",
    "list_models",
    "load_checkpoint",
    "model_cost",
    "published_state_dict",
    "resolve_precision",
    "run_benchmark",
    "save_checkpoint",
    "scores",
]

_MODULES = {
    "benchmark": ("BenchmarkRecord", "run_benchmark"),
    "metrics.boundary": ("boundary_counts",),
    "weights.checkpoint_info": ("CheckpointInfo", "CheckpointReport"),
    "weights.checkpoints": (
        "inspect_checkpoint",
        "load_checkpoint",
        "published_state_dict",
        "save_checkpoint",
    ),
    "metrics.confusion": ("ConfusionMatrix", "confusion_matrix"),
    "networks.costs": ("ModelCost", "list_models", "model_cost"),
    "errors": ("CheckpointError", "RefineNetError"),
    "labels.label_sets": ("LabelSet", "label_set", "list_label_sets"),
    "metrics.scores": ("ClassCounts", "RuleScore", "Scores", "scores"),
    "networks.models": ("RefineNet", "build_model"),
    "prediction.prediction": ("Prediction",),
    "prediction.precisions": ("resolve_precision",),
    "prediction.predictor": ("MultiScalePredictor",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"refinenet_core.{module}"), name)
    raise AttributeError(f"module 'refinenet_core' has no attribute {name!r}")
