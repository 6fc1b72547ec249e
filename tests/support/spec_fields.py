"""The field tables of `docs/job-spec.md`, made of the models; run this file to write it there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from pipeline import JobSpec
from pipeline.spec.section import Section

PAGE = Path(__file__).resolve().parents[2] / "docs/job-spec.md"
BEGIN, END = "<!-- fields: made by tests/support/spec_fields.py -->", "<!-- end of fields -->"


def field_tables() -> str:
    """Return a table of the job's own fields, and one for each of its sections."""
    schema = JobSpec.model_json_schema()
    tables: dict[str, list[str]] = {"The job": []}
    for path, field, shape in _fields(JobSpec, "", schema, schema):
        section = path.split(".")[0].removesuffix("[]") if "." in path else "The job"
        row = (f"`{path}`", _values(shape, schema), _default(field), _description(field))
        tables.setdefault(section, []).append(f"| {' | '.join(row)} |")
    head = "| field | values | default | meaning |\n|---|---|---|---|"
    return "\n\n".join(
        f"## {section}\n\n{head}\n" + "\n".join(rows) for section, rows in tables.items()
    )


def page_with(tables: str) -> str:
    """Return the page with tables in the place of those that it has."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.partition(END)[2]}"


def _fields(
    section: type[Section], prefix: str, shape: dict, schema: dict
) -> Iterator[tuple[str, FieldInfo, dict]]:
    for name, field in section.model_fields.items():
        own = shape["properties"][name]
        yield prefix + name, field, own
        for inner in _sections(field.annotation):
            many = "array" in json.dumps(own)
            place = f"{prefix}{name}{'[]' if many else ''}."
            yield from _fields(inner, place, schema["$defs"][inner.__name__], schema)


def _sections(annotation: Any) -> list[type[Section]]:
    """Return the sections that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [each for part in get_args(annotation) for each in _sections(part)]


def _values(shape: dict, schema: dict) -> str:
    """Say what a field takes, in words."""
    if "anyOf" in shape:
        kinds = [_values(each, schema) for each in shape["anyOf"] if each.get("type") != "null"]
        return ", or ".join(dict.fromkeys(kinds))
    if "$ref" in shape:
        return "section"
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{each}`" for each in shape.get("enum", [shape.get("const")]))
    if shape["type"] == "array":
        inner = shape.get("items") or shape["prefixItems"][0]
        if inner.get("type") in {"integer", "array"}:  # colours
            return "[r, g, b]" if inner["type"] == "integer" else "list of [r, g, b]"
        return f"list of {_values(inner, schema)}".replace("section", "sections")
    kind = {"string": "text", "boolean": "`true`, `false`", "object": "mapping"}
    return kind.get(shape["type"]) or _number(shape)


def _number(shape: dict) -> str:
    kind = "integer" if shape["type"] == "integer" else "number"
    low, high = shape.get("minimum"), shape.get("maximum", shape.get("exclusiveMaximum"))
    if low is not None and high is not None and high < 1 << 60:
        return f"{kind}, {low:,} to {high:,}"
    if "exclusiveMinimum" in shape:
        to = f", to {high:g}" if high is not None else ""
        return f"{kind} above {shape['exclusiveMinimum']}{to}"
    return f"{kind} from {low:,}" if low is not None else kind


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, Section) or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value.human_readable() if hasattr(value, 'human_readable') else value}`"


def _description(field: FieldInfo) -> str:
    assert field.description, field
    return " ".join(field.description.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page_with(field_tables()), encoding="utf-8")
