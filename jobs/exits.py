"""How a command ends: its result as JSON, its message, its exit code."""

import json
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from jobs.progress import ProgressDisplay

EXIT_WRONG_INPUT = 2
EXIT_INCOMPLETE = 3
EXIT_INTERRUPTED = 130


def exit_with(command: Callable[["ProgressDisplay"], int]) -> None:
    """Run a command and exit with its code; turn what it raises into a message and a code."""
    from jobs.progress import ProgressDisplay
    from pipeline import PipelineError
    from pipeline.errors import StorageUnavailableError
    from refinenet_core import RefineNetError

    display = ProgressDisplay()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = command(display)
    except (PipelineError, RefineNetError) as error:
        print(f"error: {error}", file=sys.stderr)
        later = display.started or isinstance(error, StorageUnavailableError)
        code = EXIT_INCOMPLETE if later else EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001 - shown in full: whatever it is, the run is resumable
        traceback.print_exc()
        print("the run broke off; the same command goes on where it stopped", file=sys.stderr)
        code = EXIT_INCOMPLETE
    raise typer.Exit(code)


def print_json(content: Any) -> None:
    """Print a result as one strict JSON object."""
    print(json.dumps(content, indent=2, allow_nan=False))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take SIGTERM as Ctrl-C: what runs ends in good order."""
    raise KeyboardInterrupt
