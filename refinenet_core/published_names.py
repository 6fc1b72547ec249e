"""The parameter names of the published weights files, and ours: one table a family."""

from collections.abc import Iterable, Mapping

_INVERTED_RESIDUAL = {
    "output.0.0": "expand.conv",
    "output.0.1": "expand.norm",
    "output.1.0": "depthwise.conv",
    "output.1.1": "depthwise.norm",
    "output.2.0": "project.conv",
    "output.2.1": "project.norm",
}
_MOBILENET_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)  # blocks in layer2 … layer8
_POOLINGS = 4


def published_modules(model_name: str) -> dict[str, str]:
    """Return published module name → our module name, for each module that holds parameters.

    Raises:
        ValueError: There is no table for the model.
    """
    if model_name not in _TABLES:
        raise ValueError(f"no table of published names for model {model_name!r}")
    return dict(_TABLES[model_name])


def identify_model(names: Iterable[str]) -> str | None:
    """Say which published network a file's parameter names belong to; None if to none known."""
    names = set(names)
    for parameter, model in _SIGNATURES.items():
        if parameter in names:
            return model
    return None


def _mobilenet_v2_modules() -> dict[str, str]:
    modules = {"layer1.0": "encoder.stem.conv", "layer1.1": "encoder.stem.norm"}
    for stage, blocks in enumerate(_MOBILENET_V2_BLOCKS):
        for block in range(blocks):
            for published, ours in _INVERTED_RESIDUAL.items():
                modules[f"layer{stage + 2}.{block}.{published}"] = (
                    f"encoder.stages.{stage}.{block}.{ours}"
                )
    # RefineNet blocks, coarsest first, with the features that enter each.
    for position, layers in enumerate(((8, 7), (5, 6), (4,), (3,))):
        block_name = f"decoder.blocks.{position}"
        for path, layer in enumerate(layers):
            modules[f"conv{layer}"] = f"{block_name}.fusion.reductions.{path}"
        for pooling in range(_POOLINGS):
            modules[f"crp{4 - position}.0.{pooling + 1}_outvar_dimred"] = (
                f"{block_name}.pooling.convs.{pooling}"
            )
        if position:
            modules[f"conv_adapt{5 - position}"] = f"{block_name}.fusion.coarse"
    modules["segm"] = "head"
    return modules


_TABLES: Mapping[str, Mapping[str, str]] = {
    "refinenet_lw_mobilenet_v2": _mobilenet_v2_modules(),
}

# A parameter that only one family has. Order matters: the first that is there decides.
_SIGNATURES = {
    "pre_segm.weight": "refinenet_multitask_mobilenet_v2",
    "segm.weight": "refinenet_lw_mobilenet_v2",
    "adapt_stage1_b.0.1_conv.weight": "refinenet50, 101 or 152",
    "p_ims1d2_outl1_dimred.weight": "refinenet_lw50, 101 or 152",
    "cell_stem_0.conv_1x1.conv.weight": "refinenet_lw_nasnet_mobile",
    "fc.weight": "an ImageNet classifier",
    "classifier.1.weight": "an ImageNet classifier",
}
