"""The form in which a run tells on standard error how far it is."""

from enum import StrEnum
from typing import Annotated

import typer


class LogFormat(StrEnum):
    """Lines and a bar for people, or a JSON object a line for programs."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Progress for people, or as a JSON object a line."),
]
