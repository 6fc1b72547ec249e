"""The progress of a run, as people see it: on a terminal, in a log, without colours."""

import os
import pty
import re
import subprocess

import pytest

import command
from in_process import invoke
from jobs.display.pace import Pace
from jobs.display.text_progress import TextProgress
from pipeline.output.part_name import Part
from pipeline.output.progress import DatasetProgress
from pipeline.stages.receipt import Receipt
from tiny_job import TinyJob

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


def planned(name, images, committed=0):
    return DatasetProgress(name, 1, images, 2, 100, 0, committed, 0)


def receipt(dataset, images, **changes):
    return Receipt(Part(dataset, "s", 0, images, ""), **changes)


@pytest.fixture(scope="module")
def job(tmp_path_factory, checkpoint):
    """A job on two datasets, one of which has a broken image."""
    job = TinyJob.make(tmp_path_factory.mktemp("watched"), checkpoint)
    (job.root / "images/picture-01.png").write_bytes(b"not an image")
    second = {**job.dataset, "name": "again", "images": str(job.root / "images/*-0[2-8].png")}
    job.spec["datasets"].append(second)
    job.spec["tolerance"] = {"failed_images": 1}
    return job


def run_on_a_terminal(job, output):
    """Run a job with a terminal for its standard error; return what appeared there."""
    job.spec["output"] = str(job.root / output)
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*command.WITHOUT_RAY, "run", str(job.write_spec())],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = read_to_the_end(master)
    assert process.wait() == 0, shown
    return shown


def read_to_the_end(master):
    """Return what appears on a terminal until its other end is closed."""
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)
    return shown.decode()


@pytest.mark.usefixtures("without_ray")
def test_a_log_has_a_line_for_each_dataset_and_no_escape(job):
    job.spec["output"] = str(job.root / "piped")

    done = invoke("run", job.write_spec())

    assert done.exit_code == 0, done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in done.stderr.splitlines())
    assert re.search(r"^\S+ pictures: 12/12 images, .*1 undecodable", done.stderr, re.MULTILINE)
    assert re.search(r"^\S+ again: 7/7 images", done.stderr, re.MULTILINE)


def test_a_terminal_has_a_bar_for_each_dataset_in_colours(job):
    shown = run_on_a_terminal(job, "coloured")

    plain = ESCAPES.sub("", shown)
    assert COLOURS.search(shown)
    assert re.search(r"pictures [━╸╺ ]+ (5|10|7|2)/12 +images", plain)
    assert "pictures: 12/12 images" in plain
    assert "again: 7/7 images" in plain
    assert "1 undecodable" in plain


def progress_on_a_terminal(monkeypatch, **environment):
    """Show the progress of two parts on a terminal; return what appeared there."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    master, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        with TextProgress() as display:
            display.planned([planned("pictures", 12)])
            for images in (5, 7):
                display.committed(receipt("pictures", images))
    return read_to_the_end(master)


def test_no_color_is_honoured(monkeypatch):
    coloured = progress_on_a_terminal(monkeypatch)
    shown = progress_on_a_terminal(monkeypatch, NO_COLOR="1")

    assert COLOURS.search(coloured)
    assert not COLOURS.search(shown)
    assert "pictures: 12/12 images" in ESCAPES.sub("", shown)


def test_a_dumb_terminal_gets_lines(monkeypatch):
    shown = progress_on_a_terminal(monkeypatch, TERM="dumb")

    assert ESCAPES.findall(shown) == []
    assert "pictures: 12/12 images" in shown


def test_parts_made_again_are_not_counted_twice(capsys):
    with TextProgress() as display:
        display.planned([planned("[red]odd", 10, committed=10)])
        display.committed(receipt("[red]odd", 5, replaces=True, failed={"crashed": 1}))

    assert "[red]odd: 10/10 images, 1 crashed" in capsys.readouterr().err


def test_without_a_total_no_time_is_promised(capsys):
    with TextProgress() as display:
        display.planned([planned("tars", None)])
        display.committed(receipt("tars", 5))

    pace = Pace(total=None, done=0)
    pace.add(5, {}, 1.0, again=False)
    pace.add(5, {}, 2.0, again=False)
    assert "left" not in pace.describe(2.0)
    assert "tars: 1 shards" in capsys.readouterr().err
