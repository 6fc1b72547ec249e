"""A network's copy for prediction, with each batch normalisation folded into its convolution."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from refinenet_core.networks.models import RefineNet


def folded_copy(model: nn.Module) -> nn.Module:
    """Copy a network in evaluation mode; of ours, fold the batch normalisations.

    With fixed statistics a normalisation is a factor and an offset per channel, which the
    convolution before it can carry. Of other networks only their author knows what follows what:
    they are copied as they are.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    if isinstance(copied, RefineNet):
        for parent in copied.modules():
            _fold_children(parent)
    return copied


def _fold_children(parent: nn.Module) -> None:
    """Fold where a convolution and its normalisation are neighbours, as in all our modules."""
    for (conv_name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            continue
        if conv.out_channels == norm.num_features:  # NASNet joins two convolutions before one
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, nn.Identity())
