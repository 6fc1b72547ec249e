"""What is wrong with a spec, in words that say where and what would be right."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def describe_problems(error: ValidationError, root: type[BaseModel]) -> tuple[str, ...]:
    """Return a line for each thing wrong: the field's path, the fault, what would be right.

    Args:
        error: What pydantic found.
        root: The model that it validated.
    """
    found = error.errors()
    locations = [details["loc"] for details in found]
    lines = [
        _problem(details, root)
        for details in found
        # A list that is "too short" because its items are wrong says nothing more.
        if not (
            details["type"] == "too_short"
            and any(loc[: len(details["loc"])] == details["loc"] != loc for loc in locations)
        )
    ]
    return tuple(dict.fromkeys(lines))


def _problem(details: Any, root: type[BaseModel]) -> str:
    path = _path(details["loc"])
    match details["type"]:
        case "extra_forbidden":
            name = str(details["loc"][-1])
            known = _field_names(details["loc"], root)
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
            return f"{path}: unknown field; {hint}"
        case "missing":
            return f"{path}: missing; this field is required"
        case _:
            message = details["msg"].removeprefix("Value error, ")
            value = details["input"]
            found = f" (found {value!r})" if isinstance(value, str | int | float) else ""
            return f"{path}: {message}{found}" if path else message


def _path(location: Iterable[str | int]) -> str:
    """Write a location as `datasets[0].format`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _field_names(location: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    """Return the names that a section allows, found by walking down from the spec's root."""
    section: Any = root
    for step in location[:-1]:
        if isinstance(step, str) and step in section.model_fields:
            section = _section_of(section.model_fields[step].annotation)
    return list(section.model_fields)


def _section_of(annotation: Any) -> Any:
    """Return the section class inside an annotation such as `tuple[DatasetSpec, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _section_of(argument)
        if found is not None:
            return found
    return None
