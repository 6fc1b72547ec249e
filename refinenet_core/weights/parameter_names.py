"""The parameter names of the published weights files, and ours: one table a family."""

import re
from collections.abc import Iterable

_INVERTED_RESIDUAL = {
    "output.0.0": "expand.conv",
    "output.0.1": "expand.norm",
    "output.1.0": "depthwise.conv",
    "output.1.1": "depthwise.norm",
    "output.2.0": "project.conv",
    "output.2.1": "project.norm",
}
_MOBILENET_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # blocks in layer2 … layer8
_MOBILENET_V2_INPUTS = ((8, 7), (5, 6), (4,), (3,))  # layers into each RefineNet block
_BOTTLENECK = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")
_RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_CASCADED = re.compile(r"refinenet(_lw)?(50|101|152)")


def published_modules(model_name: str, *, poolings: int = 4) -> dict[str, str]:
    """Return published module name → our module name, for each module that holds parameters.

    Args:
        model_name: One of `list_models()`.
        poolings: Poolings of each chained residual pooling in the model.

    Raises:
        ValueError: There is no table for the model.
    """
    if model_name == "refinenet_lw_mobilenet_v2":
        return _mobilenet_v2_modules(poolings)
    if model_name == "refinenet_multitask_mobilenet_v2":
        return _mobilenet_v2_modules(poolings) | {"pre_segm": "pre_head.conv"}
    cascaded = _CASCADED.fullmatch(model_name)
    if cascaded:
        light, depth = cascaded.groups()
        return _resnet_modules(int(depth)) | _cascade_modules(poolings, full=not light)
    raise ValueError(f"no table of published names for model {model_name!r}")


def head_name(model_name: str | None) -> str:
    """Return the published name of a model's head, whose bias tells the number of classes."""
    return "clf_conv" if model_name and _CASCADED.fullmatch(model_name) else "segm"


def count_poolings(names: Iterable[str]) -> int:
    """Return how many poolings the chains of a published file have; 4 if it does not tell."""
    chain = re.compile(r"(?:crp4|mflow_conv_g1_pool)\.0\.(\d+)_outvar_dimred\.weight")
    found = [int(match[1]) for match in map(chain.fullmatch, names) if match]
    return max(found, default=4)


def is_other_branch(model_name: str, parameter: str) -> bool:
    """Say whether a parameter belongs to a branch that a published file has and the model has not.

    Multi-Task RefineNet's files hold branches for depth and surface normals as well.
    """
    other_branches = ("pre_depth", "depth", "pre_normal", "normal")
    return (
        model_name == "refinenet_multitask_mobilenet_v2"
        and parameter.partition(".")[0] in other_branches
    )


def identify_model(names: Iterable[str]) -> str | None:
    """Say which published network a file's parameter names belong to; None if to none known."""
    names = set(names)
    if "p_ims1d2_outl1_dimred.weight" in names:
        light = "" if "adapt_stage1_b.0.1_conv.weight" in names else "_lw"
        for depth, (*_, third, _) in _RESNET_BLOCKS.items():
            last, beyond = f"layer3.{third - 1}.conv1.weight", f"layer3.{third}.conv1.weight"
            if last in names and beyond not in names:
                return f"refinenet{light}{depth}"
    for parameter, model in _SIGNATURES.items():
        if parameter in names:
            return model
    return None


def _mobilenet_v2_modules(poolings: int) -> dict[str, str]:
    modules = {"layer1.0": "encoder.stem.conv", "layer1.1": "encoder.stem.norm"}
    for stage, blocks in enumerate(_MOBILENET_V2_BLOCKS):
        for block in range(blocks):
            for published, ours in _INVERTED_RESIDUAL.items():
                modules[f"layer{stage + 2}.{block}.{published}"] = (
                    f"encoder.stages.{stage}.{block}.{ours}"
                )
    for position, layers in enumerate(_MOBILENET_V2_INPUTS):
        block_name = f"decoder.blocks.{position}"
        for path, layer in enumerate(layers):
            modules[f"conv{layer}"] = f"{block_name}.reductions.{path}"
        for pooling in range(poolings):
            modules[f"crp{4 - position}.0.{pooling + 1}_outvar_dimred"] = (
                f"{block_name}.pooling.convs.{pooling}"
            )
        if position:  # the coarse path comes after the features
            modules[f"conv_adapt{5 - position}"] = f"{block_name}.fusion.convs.{len(layers)}"
    modules["segm"] = "head"
    return modules


def _resnet_modules(depth: int) -> dict[str, str]:
    """Return torchvision's names, which the published files keep."""
    names = ["conv1", "bn1"]
    for layer, blocks in enumerate(_RESNET_BLOCKS[depth], start=1):
        for block in range(blocks):
            names += [f"layer{layer}.{block}.{module}" for module in _BOTTLENECK]
        names += [f"layer{layer}.0.downsample.{module}" for module in (0, 1)]
    return {name: f"encoder.{name}" for name in names}


def _cascade_modules(poolings: int, *, full: bool) -> dict[str, str]:
    """Return the names of the 4-cascaded decoder; the published ones count from the coarsest."""
    modules = {"clf_conv": "head"}
    for position in range(4):
        number, block = position + 1, f"decoder.blocks.{position}"
        modules[f"p_ims1d2_outl{number}_dimred"] = f"{block}.reductions.0"
        if position:
            modules[f"adapt_stage{number}_b2_joint_varout_dimred"] = f"{block}.fusion.convs.0"
            modules[f"mflow_conv_g{position}_b3_joint_varout_dimred"] = f"{block}.fusion.convs.1"
        for pooling in range(poolings):
            modules[f"mflow_conv_g{number}_pool.0.{pooling + 1}_outvar_dimred"] = (
                f"{block}.pooling.convs.{pooling}"
            )
        if full:
            modules |= _unit_modules(f"adapt_stage{number}_b", f"{block}.adaptations.0", 2)
            modules |= _unit_modules(f"mflow_conv_g{number}_b", f"{block}.output", 3)
    return modules


def _unit_modules(published: str, ours: str, units: int) -> dict[str, str]:
    modules = {}
    for unit in range(units):
        modules[f"{published}.0.{unit + 1}_conv"] = f"{ours}.{unit}.conv1"
        modules[f"{published}.0.{unit + 1}_conv_relu_varout_dimred"] = f"{ours}.{unit}.conv2"
    return modules


# A parameter that only one family has. Order matters: the first that is there decides.
_SIGNATURES = {
    "pre_segm.weight": "refinenet_multitask_mobilenet_v2",
    "segm.weight": "refinenet_lw_mobilenet_v2",
    "cell_stem_0.conv_1x1.conv.weight": "refinenet_lw_nasnet_mobile",
    "fc.weight": "an ImageNet classifier",
    "classifier.1.weight": "an ImageNet classifier",
}
