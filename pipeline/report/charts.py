"""The charts of a report, as SVG for a page that may be light or dark.

Colours are the page's own: the marks below stand for them while a chart is drawn, and become CSS
variables at the end. Text stays text, in the page's font.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from refinenet_core.labels.palettes import Colour
from refinenet_core.metrics.confusion import Counts
from refinenet_core.metrics.scores import Floats

_INK: Final = "#010203"
_MUTED: Final = "#010204"
_ACCENT: Final = "#010205"
_PAPER: Final = "#010206"
_VARIABLES: Final = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _ACCENT: "var(--accent)",
    _PAPER: "var(--paper)",
}
_STYLE: Final[dict[Any, Any]] = {
    "text.parse_math": False,  # a class may be called $x$
    "svg.fonttype": "none",
    "svg.hashsalt": "refinenet-batch",  # the same figures give the same bytes
    "font.size": 8.0,
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

_WIDTH_IN: Final = 4.4  # a phone's width at the size at which text is legible
_LEAST_SHARE: Final = 0.005  # of a class, to be a cell of the heat map
_BARS: Final = 40  # in a chart
_MOST_CELLS: Final = 2000  # of the heat map, for the page's size: the largest
_NUMBERED: Final = 16  # classes, at most, for numbers to fit in the cells
_NAMED: Final = 60  # classes, at most, for names to fit on the axes
_LONGEST_NAME: Final = 18


def class_bars(names: Sequence[str], ious: Floats, colours: Sequence[Colour]) -> list[Markup]:
    """Draw a bar per class that has an IoU, the highest on top, in as many charts as it takes.

    Args:
        names: Of the classes.
        ious: Shape (C,); NaN where undefined.
        colours: RGB of each class.
    """
    order = [int(k) for k in np.argsort(-ious, kind="stable") if not np.isnan(ious[k])]
    return _class_bars(order, names, ious.tolist(), colours, "IoU of each class")


def share_bars(
    names: Sequence[str], shares: Sequence[float], colours: Sequence[Colour]
) -> list[Markup]:
    """Draw a bar per class that occurs in the masks, its share of their pixels, likewise."""
    order = sorted((k for k, share in enumerate(shares) if share), key=lambda k: -shares[k])
    return _class_bars(order, names, shares, colours, "Share of each class in the masks")


def difference_bars(names: Sequence[str], values: Floats, low: Floats, high: Floats) -> Markup:
    """Draw each class's difference of IoU with its interval, the largest on top.

    Args:
        names: Of the classes.
        values: Differences, shape (C,); NaN where undefined.
        low: Lower ends of their intervals, shape (C,).
        high: Upper ends, shape (C,).
    """
    order = [int(k) for k in np.argsort(-values, kind="stable") if not np.isnan(values[k])]
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(0.6 + 0.19 * len(order))
        for place, k in enumerate(order):
            axes.plot([low[k], high[k]], [place, place], color=_MUTED, linewidth=2.5)
            axes.plot([values[k]], [place], "o", color=_ACCENT, markersize=4.5)
        axes.axvline(0, color=_INK, linewidth=0.8)
        _name_rows(axes, [_short(names[k]) for k in order])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:+.3g}")
        axes.set_xlabel("percentage points of IoU")
        return _svg(figure, "Difference of the IoU of each class")


def stage_bars(seconds: Mapping[str, float]) -> Markup:
    """Draw the seconds of each stage."""
    total = sum(seconds.values())
    return _bars(
        list(seconds),
        [each / total for each in seconds.values()],
        [f"{each:,.1f} s, {each / total:.0%}" for each in seconds.values()],
        [_ACCENT] * len(seconds),
        title="Where the workers' time went",
    )


def miou_histogram(edges: Sequence[float], images: Sequence[int], median: float) -> Markup:
    """Draw how many images have which mIoU of their own."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(2.1)
        axes.bar(edges[:-1], images, np.diff(edges) * 0.92, align="edge", color=_ACCENT)
        axes.axvline(median, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f" median {median:.1%}",
            (median, 1),
            xycoords=("data", "axes fraction"),
            ha="right" if median > 0.75 else "left",
            va="top",
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.18 * max(images))  # room for the words
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("an image's own mIoU")
        axes.set_ylabel("images")
        return _svg(figure, "Distribution of the images' own mIoU")


def confusion_map(counts: Counts, names: Sequence[str]) -> Markup:
    """Draw the confusion matrix: of each target class, which share is predicted as which.

    Args:
        counts: Shape (C, C + 1); the last column is drawn if anything is in it.
        names: Of the classes.
    """
    columns = [*names, "no class"] if counts[:, -1].any() else list(names)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = (counts / totals)[:, : len(columns)]
    with mpl.rc_context(_STYLE):
        side = _WIDTH_IN if len(names) <= 30 else 2 * _WIDTH_IN
        figure, axes = _axes(side, side)
        cells = _largest(shares)
        _add_cells(axes, cells, shares)
        if len(columns) <= _NUMBERED:
            _number_cells(axes, cells, shares)
        _name_axes(axes, names, columns)
        axes.set_aspect("equal")
        return _svg(figure, "Confusion matrix: share of each target class by prediction")


def _largest(shares: Floats) -> Counts:
    """Return the cells to be drawn, row and column of each, shape (N, 2)."""
    order = np.argsort(-shares, axis=None, kind="stable")[:_MOST_CELLS]
    cells = np.column_stack(np.unravel_index(order, shares.shape))
    return cells[shares.ravel()[order] >= _LEAST_SHARE]


def _add_cells(axes: Axes, cells: Counts, shares: Floats) -> None:
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    squares = cells[:, None, ::-1] + corners
    colours = [(*_rgb(_ACCENT), shares[row, column]) for row, column in cells]
    axes.add_collection(
        PolyCollection(list(squares), facecolors=colours, linewidths=0, clip_on=False)
    )


def _number_cells(axes: Axes, cells: Counts, shares: Floats) -> None:
    for row, column in cells:
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{share * 100:.0f}" if share >= 0.01 else "·",
            ha="center",
            va="center",
            fontsize=6.5,
            color=_PAPER if share > 0.55 else _INK,
        )


def _name_axes(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    size = 7.5 if len(columns) <= 30 else 5.5
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(length=0, labelsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("target")
    if len(columns) <= _NAMED:
        labels = [_short(name) for name in columns]
        axes.set_xticks(range(len(columns)), labels, rotation=90)
        axes.set_yticks(range(len(rows)), labels[: len(rows)])


def _class_bars(
    order: Sequence[int],
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[Colour],
    title: str,
) -> list[Markup]:
    return [
        _bars(
            [_short(names[k]) for k in chosen],
            [values[k] for k in chosen],
            [f"{values[k]:.1%}" for k in chosen],
            [_hex(colours[k]) for k in chosen],
            title=title,
        )
        for start in range(0, len(order), _BARS)
        for chosen in [order[start : start + _BARS]]
    ]


def _bars(
    names: Sequence[str],
    values: Sequence[float],
    texts: Sequence[str],
    colours: Sequence[str],
    *,
    title: str,
) -> Markup:
    """Draw horizontal bars from 0 to 1, the first on top, each with a text at its end."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(0.25 + 0.19 * len(names))
        places = range(len(names))
        axes.barh(places, [1] * len(names), 0.72, color=_MUTED, alpha=0.15, clip_on=False)
        # The edge tells a bar of the page's own colour from the page.
        axes.barh(places, values, 0.72, color=colours, edgecolor=_MUTED, linewidth=0.5)
        for place, text in zip(places, texts, strict=True):
            axes.text(1.02, place, text, va="center", fontsize=7.5)
        axes.set_xlim(0, 1)
        _name_rows(axes, names)
        axes.xaxis.set_visible(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return _svg(figure, title)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)


def _axes(height_in: float, width_in: float = _WIDTH_IN) -> tuple[Figure, Axes]:
    figure = Figure((width_in, height_in), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure, title: str) -> Markup:
    """Return a figure as an SVG element that is as wide as its place, with a name for readers."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Names in scripts that Matplotlib's font lacks: the page's font draws them.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        # `savefig` would lay out and draw the figure once more beforehand.
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata=dict.fromkeys(_METADATA))
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', drawing)
    assert size is not None  # noqa: S101 - as Matplotlib writes it
    drawing = drawing.replace(size[0], f'role="img" aria-label="{title}"', 1)
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawing)
    drawing = re.sub(r'<path d="[^"]*"', _rounded, drawing)
    for mark, variable in _VARIABLES.items():
        drawing = drawing.replace(mark, variable)
    return Markup(drawing)  # noqa: S704 - Matplotlib has escaped what it was given


def _rounded(path: re.Match[str]) -> str:
    """Return a path whose coordinates are hundredths of a point: half the bytes, no difference."""
    return re.sub(r"\.(\d\d)\d+", r".\1", path[0]).replace("\n", "")


_METADATA: Final = ("Creator", "Date", "Format", "Type")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rgb(mark: str) -> tuple[float, float, float]:
    return tuple(int(mark[k : k + 2], 16) / 255 for k in (1, 3, 5))  # type: ignore[return-value]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
