"""How a command ends: what it raises becomes a message and a code."""

import json
import signal

import pytest
import typer

from jobs.commands.exits import exit_with, print_json
from jobs.commands.options import LogFormat
from pipeline.errors import SpecError, StorageUnavailableError
from refinenet_core import CheckpointError


@pytest.fixture(autouse=True)
def _handler():
    """A command takes SIGTERM for itself."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def code_of(command, *arguments):
    with pytest.raises(typer.Exit) as ended:
        exit_with(command, *arguments)
    return ended.value.exit_code


def raising(error, *, started=False):
    def command(display):
        display.started = started
        raise error

    return command


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_that_returns_ends_with_its_code(code, capsys):
    assert code_of(lambda _: code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "started", "code", "words"),
    [
        (SpecError("field", ("is wrong",)), False, 2, "error: "),
        (CheckpointError("x.pth", "is none"), False, 2, "error: x.pth"),
        (SpecError("field", ("is wrong",)), True, 3, "error: "),
        (StorageUnavailableError("s3://x", "does not answer"), False, 3, "does not answer"),
        (KeyboardInterrupt(), False, 130, "interrupted; the same command goes on"),
        (ZeroDivisionError("of ours"), False, 3, "the run broke off; the same command goes on"),
    ],
)
def test_what_is_raised_becomes_a_message_and_a_code(error, started, code, words, capsys):
    assert code_of(raising(error, started=started)) == code

    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert ("Traceback" in said.err) == isinstance(error, ZeroDivisionError)


def test_a_message_is_a_json_line_where_these_are_asked_for(capsys):
    code_of(raising(SpecError("field", ("is wrong",))), LogFormat.JSON)

    [line] = capsys.readouterr().err.splitlines()
    assert "field: is wrong" in json.dumps(json.loads(line))


def test_sigterm_is_taken_as_an_interruption():
    def command(_):
        signal.raise_signal(signal.SIGTERM)
        return 0

    assert code_of(command) == 130


def test_only_strict_json_is_printed(capsys):
    print_json({"a": [1, None]})

    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        print_json(float("nan"))
