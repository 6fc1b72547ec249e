"""RefineNet for semantic segmentation: the networks, their averaging and exact metrics."""

from refinenet_core.checkpoints import CheckpointReport, load_checkpoint, published_state_dict
from refinenet_core.errors import CheckpointError, RefineNetError
from refinenet_core.metrics import ConfusionMatrix, Scores, confusion_matrix, scores
from refinenet_core.models import RefineNet, build_model, list_models
from refinenet_core.palettes import LabelSet, label_set, list_label_sets
from refinenet_core.predictor import MultiScalePredictor, Prediction, resolve_precision

__all__ = [
    "CheckpointError",
    "CheckpointReport",
    "ConfusionMatrix",
    "LabelSet",
    "MultiScalePredictor",
    "Prediction",
    "RefineNet",
    "RefineNetError",
    "Scores",
    "build_model",
    "confusion_matrix",
    "label_set",
    "list_label_sets",
    "list_models",
    "load_checkpoint",
    "published_state_dict",
    "resolve_precision",
    "scores",
]
