"""The code that travels: packages with their data files, without what lies about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.execution.ship_code import write_code

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("jobs", "pipeline", "refinenet_core")


def test_packages_travel_with_their_data_and_without_junk(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / "source" / name / "data" / "__pycache__").mkdir(parents=True)
        (tmp_path / "source" / name / "__init__.py").write_text("")
        for junk in ("old.pyc", ".secret", "notes.txt~", "__pycache__/x.cpython-311.pyc"):
            (tmp_path / "source" / name / "data" / junk).write_text("")
        (tmp_path / "source" / name / "data" / "weights.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "source"))
    (tmp_path / "code").mkdir()

    write_code(tmp_path / "code", ("first", "second"))

    files = [path for path in (tmp_path / "code").rglob("*") if path.is_file()]
    names = {str(path.relative_to(tmp_path / "code")) for path in files}
    information = {name for name in names if name.endswith("METADATA")}
    packages = {f"{name}/{file}" for name in ("first", "second") for file in ("__init__.py",)}
    data = {f"{name}/data/weights.pth" for name in ("first", "second")}
    assert len(information) == 1
    assert names - information == packages | data


def test_the_project_runs_from_the_folder_alone(tmp_path):
    """A node has the dependencies, but not the project: its version once had to be installed."""
    write_code(tmp_path, PACKAGES)
    code = (
        "import sys; sys.path = [p for p in sys.path if p != sys.argv[1]];"
        "import jobs.quickstart.quickstart as quickstart, importlib.metadata as metadata;"
        "from pipeline.output.job_record import library_versions;"
        "print(quickstart.__file__, quickstart._CHECKPOINT.exists(), quickstart._TEMPLATE.exists(),"
        " library_versions()['refinenet-batch'],"
        " metadata.distribution('refinenet-batch').locate_file('').resolve())"
    )

    found = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert found[0] == str(tmp_path / "jobs" / "quickstart" / "quickstart.py")
    assert found[1:3] == ["True", "True"]
    assert found[4] == str(tmp_path)


def test_a_package_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ModuleNotFoundError, match="no package 'no_such_package'"):
        write_code(tmp_path, ("no_such_package",))


def test_a_machine_without_the_dependencies_is_told_so(tmp_path):
    """Python alone would exit with 1, which means too many failed images."""
    write_code(tmp_path, PACKAGES)

    ended = subprocess.run(
        [sys.executable, "-S", "-m", "jobs", "models"],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "No module named 'typer'; a node needs what refinenet-batch depends on" in ended.stderr
    assert "Traceback" not in ended.stderr
