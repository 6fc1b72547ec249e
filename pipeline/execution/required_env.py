"""Environment variables that a run needs on each node: named, checked there, never carried."""

import os
import re
from collections.abc import Sequence

from pipeline.errors import SpecError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = "require_env"


def check_names(names: Sequence[str]) -> None:
    """Refuse what is no variable's name, without repeating a value.

    Raises:
        SpecError: A name is none, or brings a value along.
    """
    for name in names:
        if "=" in name:
            problem = (
                f"{name.partition('=')[0]!r} comes with a value, which must not be given: it would "
                "be stored with the job; give the name alone, and set it on the nodes"
            )
            raise SpecError(_OPTION, (problem,))
        if not _NAME.fullmatch(name):
            raise SpecError(_OPTION, (f"{name!r} is no name of an environment variable",))


def unset(names: Sequence[str]) -> list[str]:
    """Return which variables are not set in this process, or empty."""
    return [name for name in names if not os.environ.get(name)]


def refuse_unset(missing: Sequence[tuple[str, str]]) -> None:
    """Say which variables are not set where, if there are such.

    Raises:
        SpecError: There are.
    """
    if missing:
        raise SpecError(
            _OPTION, tuple(f"{name} is not set {where}; set it there" for name, where in missing)
        )
