"""A page: an HTML file that needs no other, made of a template."""

import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.storage.uris import shown


def render_page(template: str, content: Mapping[str, Any]) -> bytes:
    """Return a page; all that is put into it is escaped, but for our own drawings.

    Args:
        template: Name of a file in `pipeline/report/templates`.
        content: What the template asks for.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "figure": figure,
        "location": _location,
    }
    environment.tests["defined_number"] = lambda value: value is not None and not math.isnan(value)
    templates = files("pipeline.report") / "templates"
    own = {
        name: Markup((templates / file).read_text(encoding="utf-8"))  # noqa: S704 - files of ours
        for name, file in (("css", "page.css"), ("script", "classes.js"))
    }
    return environment.get_template(template).render(**own, **content).encode()


def percent(value: float | None) -> Markup:
    """Return a fraction as people read it, which holds its full value for programs."""
    if value is None or math.isnan(value):
        return Markup("-")
    return _data(value, f"{value:.2%}" if value >= 0.0001 or not value else "<0.01%")


def number(value: int) -> Markup:
    """Return a whole number with separators, which holds the plain one for programs."""
    return _data(value, f"{value:,}")


def figure(value: float) -> Markup:
    """Return a figure of a measurement to three digits, which holds its full value for programs."""
    return _data(value, f"{value:,.0f}" if value >= 1000 else f"{value:.3g}")


def _data(value: float, text: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(value, escape(text))


def _location(uri: str | None) -> str:
    """Return a location as people type it."""
    return shown(uri or "")
