"""The shape of the house: imports run one way, files stay small, public names are documented."""

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
# Of each package: a room (a folder, or a file beside them) imports rooms to its left alone.
ORDER = {
    "refinenet_core": """
        errors cpu_name labels < networks < weights prediction < benchmark < __init__
        networks < gpu < prediction
        labels < metrics < benchmark
    """,
    "pipeline": """
        errors < storage < spec < images datasets < output < stages < execution < scores < report
        report < run < __init__
        output < export < __init__
        execution < estimate < __init__
    """,
    "jobs": """
        exit_codes < benchmarks submission quickstart < display < commands < cli < __main__
    """,
}
MOST_LINES = 400
# Source files without a test file of their own, and why.
UNMIRRORED = {
    "pipeline/datasets/encoded_image.py": "values without behaviour",
    "pipeline/execution/executor.py": "an interface",
    "pipeline/execution/make_parts.py": "the passes of a run: test_local.py, tests/runs",
    "pipeline/execution/observer.py": "an interface, and one that does nothing",
    "pipeline/execution/ray_data.py": "the stages on a real Ray: tests/runs",
    "pipeline/stages/stop_flag.py": "an actor of Ray's: tests/runs/test_interruption.py",
    "refinenet_core/weights/checkpoint_info.py": "values without behaviour",
    "refinenet_core/gpu/activations.py": "in every kernel that has one: test_depthwise.py",
    "refinenet_core/gpu/channels_last.py": "in every kernel",
    "refinenet_core/gpu/convolution_layers.py": "in every block: test_network.py",
    "jobs/__main__.py": "how a submitted job starts: tests/jobs/submission/test_submit.py",
    "jobs/benchmarks/driver_watch.py": "measures: tests/jobs/benchmarks/test_scaling.py",
    "jobs/display/progress.py": "an interface",
    "jobs/exit_codes.py": "numbers without behaviour",
    "jobs/quickstart/train.py": "trained the quickstart's checkpoint, in an hour",
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


def _source_files():
    """Return the path of each module of the three packages, by its dotted name."""
    modules = {}
    for package in FORBIDDEN:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def _graph():
    """Return the modules that each module imports, wherever in it; theirs alone."""
    modules = _source_files()
    graph = {}
    for module, path in modules.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                # What is no module of its own is a name in the one that it is imported from.
                found |= {name if name in modules else node.module for name in whole}
        graph[module] = found & modules.keys()
    return graph


def _left_of(order):
    """Return the rooms that each room may import, by lines such as `a b < c < d`."""
    left = {}
    for line in order.split("\n"):
        ranks = [rank.split() for rank in line.split("<")]
        for rank, nearer in zip(ranks, [[], *ranks], strict=False):
            for room in rank:
                left.setdefault(room, set()).update(nearer)
    for _ in left:  # as often as a line can be long
        for room, nearer in left.items():
            left[room] = nearer.union(*(left[each] for each in nearer))
    return left


def _room(module):
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("package", ORDER)
def test_a_room_imports_rooms_to_its_left_alone(package):
    left = _left_of(ORDER[package])
    graph = {m: found for m, found in _graph().items() if m.split(".")[0] == package}

    turned = [
        f"{module} imports {other}"
        for module, found in graph.items()
        for other in found
        if other.split(".")[0] == package
        and _room(other) not in {*left.get(_room(module), ()), _room(module)}
    ]

    assert {_room(module) for module in graph} - {"__init__"} <= left.keys()
    assert turned == []


def test_no_files_import_each_other_in_a_circle():
    """Imports within functions and for types alone count as well."""
    graph = _graph()
    done = set()

    def circle_from(module, way):
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return None
        for other in sorted(graph[module]):
            if found := circle_from(other, [*way, module]):
                return found
        done.add(module)
        return None

    circles = (circle_from(module, []) for module in sorted(graph))

    assert next(filter(None, circles), None) is None


def test_a_folder_hands_on_nothing():
    """A folder that imported its files would make light modules import heavy ones."""
    folders = {path for path in _source_files().values() if path.name == "__init__.py"}
    packages = {ROOT / package / "__init__.py" for package in FORBIDDEN}

    statements = {path: ast.parse(path.read_text()).body[1:] for path in folders - packages}

    assert statements
    assert {path for path, found in statements.items() if found} == set()


def test_no_source_file_is_long():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in _source_files().values()
    }

    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}


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
        "model_cost",
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


def test_every_source_file_is_mirrored_by_a_test_file():
    source = [
        path.relative_to(ROOT)
        for package in FORBIDDEN
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]

    without = [
        str(path)
        for path in source
        if not (ROOT / "tests" / path.with_name(f"test_{path.name}")).is_file()
    ]

    assert sorted(without) == sorted(UNMIRRORED)
    assert len(UNMIRRORED) <= 15
