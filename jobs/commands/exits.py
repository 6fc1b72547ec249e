"""How a command ends: its result as JSON or a table, its message, its exit code."""

import json
import signal
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from jobs.commands.options import LogFormat
from jobs.exit_codes import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_WRONG_INPUT

if TYPE_CHECKING:
    from jobs.display.progress import ProgressDisplay


def exit_with(
    command: Callable[["ProgressDisplay"], int], log_format: LogFormat = LogFormat.TEXT
) -> None:
    """Run a command and exit with its code; turn what it raises into a message and a code."""
    from jobs.display.json_progress import JsonLines
    from jobs.display.text_progress import TextProgress

    display = JsonLines() if log_format is LogFormat.JSON else TextProgress()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = command(display)
    except KeyboardInterrupt:
        display.failed("interrupted; the same command goes on where this one stopped")
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        code = _failed(display, error)
    raise typer.Exit(code)


def _failed(display: "ProgressDisplay", error: Exception) -> int:
    """Show what went wrong; return the code to exit with."""
    from pipeline.errors import PipelineError, StorageUnavailableError
    from refinenet_core.errors import RefineNetError

    if isinstance(error, (PipelineError, RefineNetError)):
        display.failed(f"error: {error}")
        later = display.started or isinstance(error, StorageUnavailableError)
        return EXIT_INCOMPLETE if later else EXIT_WRONG_INPUT
    after = "the run broke off; the same command goes on where it stopped"
    display.failed("".join(traceback.format_exception(error)) + after)
    return EXIT_INCOMPLETE


def print_json(content: Any) -> None:
    """Print a result as one strict JSON object."""
    print(json.dumps(content, indent=2, allow_nan=False))


def print_table(table: Any) -> None:
    """Print a table, or several, as wide as the terminal allows."""
    from rich.console import Console

    Console().print(table)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take SIGTERM as Ctrl-C: what runs ends in good order."""
    raise KeyboardInterrupt
