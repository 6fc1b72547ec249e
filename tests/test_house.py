"""The shape of the house: imports run one way, public names are the ones documented."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
import refinenet_core

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "refinenet_core": {"pipeline", "jobs", "ray", "pyarrow", "fsspec", "pydantic", "typer", "rich"},
    "pipeline": {"jobs", "typer", "rich"},
    "jobs": set(),
}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))

    offenders = {str(path.relative_to(ROOT)): _imports(path) & FORBIDDEN[package] for path in files}

    assert files
    assert {name: found for name, found in offenders.items() if found} == {}


def test_public_names_are_the_documented_ones():
    assert refinenet_core.__all__ == [
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
        "measure_cost",
        "published_state_dict",
        "resolve_precision",
        "run_benchmark",
        "save_checkpoint",
        "scores",
    ]
    assert pipeline.__all__ == [
        "ExportReport",
        "JobSpec",
        "PipelineError",
        "RunReport",
        "VerifyReport",
        "export",
        "plan",
        "run",
        "verify",
    ]


@pytest.mark.parametrize("module", [refinenet_core, pipeline])
def test_every_public_name_is_there_and_documented(module):
    for name in module.__all__:
        assert getattr(module, name).__doc__, name


def test_what_readers_and_writers_import_is_light():
    """They once held 800 MB and three seconds of PyTorch each."""
    code = (
        "import sys, pipeline.stages.reader, pipeline.stages.committer, pipeline.run;"
        "print({'torch', 'torchvision', 'ray'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
