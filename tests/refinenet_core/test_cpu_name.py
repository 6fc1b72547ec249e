"""The processor's name, as systems tell it in different ways."""

import platform

import pytest

from refinenet_core import cpu_name


@pytest.fixture
def facts(tmp_path, monkeypatch):
    """A file in the place of the one in which Linux tells of its processor."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu_name, "Path", lambda _: path)
    return path


def test_linux_tells_the_name_and_the_number_of_cores(facts):
    facts.write_text("processor : 0\nmodel name : Some CPU @ 2 GHz\n" * 3)

    assert cpu_name.processor_name() == "3 cores of Some CPU @ 2 GHz"


def test_where_linux_tells_no_name_the_architecture_is_told(facts):
    facts.write_text("processor : 0\nBogoMIPS : 50.00\n")

    assert cpu_name.processor_name() == platform.machine()


@pytest.mark.usefixtures("facts")
def test_without_that_file_python_is_asked():
    assert cpu_name.processor_name() == platform.processor()
