"""Charts of reports, as Vega-Lite specifications that altair builds and checks.

    chart = line(frame, Axis("k", "predictions per video (k)"), Axis("gap", "GAP"),
                 title="GAP grows with k", description="GAP against k, from 1 to 20.")
    page.chart(chart, "gap_against_k")

Each function takes a pandas frame, whose rows are the marks, and names of its columns.
A title says what is seen; a description is the text alternative: it says the same to
people who do not see the chart. Units stand in the titles of the axes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from youtube8m.errors import UserError

# Seen on white and on black; the first two also differ for people who see no red.
COLORS = ("#3b87c8", "#e0812c", "#2f9e7a", "#b56fb8", "#cf5b56", "#8a9099", "#b59a2b")
_HEIGHT = 280  # pixels
_ROW = 20  # pixels of a bar with its name
_HOVERED = 500  # points of lines that show their values; more would be slow
_DIGITS = 5  # significant ones of drawn values

# Text takes the colour of the page, so it is dark on light and light on dark.
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": "transparent"},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "#8a9099",
        "tickColor": "#8a9099",
        "gridColor": "#8a9099",
        "gridOpacity": 0.25,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 170,
        "labelOverlap": True,
        "labelSeparation": 6,
    },
    "legend": {
        "orient": "top",
        "columns": 2,
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 300,
        "symbolOpacity": 1,
    },
    "text": {"color": "currentColor", "fontSize": 12},
    "mark": {"color": COLORS[0]},
    "range": {"category": list(COLORS)},
}


class Axis(NamedTuple):
    """A column of a frame as an axis."""

    column: str
    title: str  # with the unit: "training videos", "loss", "seconds"
    log: bool = False  # values from 0 down are then left out, and the chart says so
    format: str = ""  # of d3, such as ".0%"
    limits: tuple[float, float] | None = None
    zero: bool = False  # whether the axis begins at 0


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart: what it is called, says and draws, and the frame behind it."""

    title: str
    description: str
    spec: Mapping[str, Any]
    frame: pd.DataFrame


def import_altair(flag: str = "report"):
    """The module altair. Raises UserError, which names `flag`, without it."""
    try:
        import altair
    except ImportError:
        raise missing_extra(flag, "altair") from None
    return altair


def missing_extra(flag: str, package: str) -> UserError:
    """The error for a package of the extra `report` that is not installed."""
    return UserError(
        f"{flag}: a report needs {package}, which is not installed; pip install "
        "'youtube8m[report]'"
    )


def line(
    frame: pd.DataFrame,
    x: Axis,
    y: Axis,
    *,
    title: str,
    description: str,
    series: str | None = None,
    band: tuple[str, str] | None = None,
    marked: Sequence[tuple[float, float, str]] = (),
    level: tuple[float, str] | None = None,
    diagonal: bool = False,
    height: int = _HEIGHT,
) -> Chart:
    """A line, or one for each value of the column `series`.

    Args:
      band: columns of the lower and upper end of an interval around the line.
      marked: points (x, y, text) that are pointed out.
      level: a height and its text: a dashed line across.
      diagonal: whether y = x is drawn too, from 0 to 1.
    """
    alt = import_altair()
    data = _Data(frame, [x, y], [series, *(band or ())])
    color = data.color(series)
    base = alt.Chart(data.values)
    layers = _diagonal(alt, x, y) if diagonal else []
    if band:
        low, high = band
        ends = {"y": data.y(y, low), "y2": alt.Y2(field=data.fields[high])}
        area = base.mark_area(opacity=0.2, line=False)
        layers.append(area.encode(x=data.x(x), **ends, **color))
    places = {"x": data.x(x), "y": data.y(y), **color}
    hover = data.tooltips([series, x.column, y.column, *(band or ())])
    layers.append(base.mark_line(strokeWidth=2).encode(**places))
    if len(data.rows) <= _HOVERED:
        few = data.rows_per(series) <= 40
        dots = base.mark_point(filled=True, size=36 if few else 120)
        layers.append(dots.encode(**places, opacity=alt.value(float(few)), **hover))
    layers += _marked(alt, marked, x, y) + _level(alt, level, y)
    return data.chart(alt.layer(*layers), title, description, height)


def points(
    frame: pd.DataFrame,
    x: Axis,
    y: Axis,
    *,
    title: str,
    description: str,
    names: Sequence[str] = (),
    series: str | None = None,
    marked: Sequence[tuple[float, float, str]] = (),
    diagonal: bool = False,
    height: int = _HEIGHT,
) -> Chart:
    """A point for each row; under the pointer, the values of the columns `names`."""
    alt = import_altair()
    data = _Data(frame, [x, y], [*names, series])
    dots = alt.Chart(data.values).mark_point(
        filled=True, size=40 if len(data.rows) < 300 else 22, opacity=0.65
    )
    hover = data.tooltips([*names, series, x.column, y.column])
    places = {"x": data.x(x), "y": data.y(y), **data.color(series), **hover}
    layers = _diagonal(alt, x, y) if diagonal else []
    layers += [dots.encode(**places), *_marked(alt, marked, x, y)]
    return data.chart(alt.layer(*layers), title, description, height)


def bars(
    frame: pd.DataFrame,
    category: str,
    value: Axis,
    *,
    title: str,
    description: str,
    interval: tuple[str, str] | None = None,
    series: str | None = None,
    names: Sequence[str] = (),
) -> Chart:
    """A horizontal bar for each row, in the rows' order, with its name on the left.

    Args:
      category: the column of names, which may have two lines.
      interval: columns of the lower and upper end of an interval of each bar.
      series: the column that colours the bars; those of a category lie together.
      names: columns that are shown under the pointer, besides.
    """
    alt = import_altair()
    data = _Data(frame, [value], [category, series, *(interval or ()), *names])
    lines = 1 + int(frame[category].astype(str).str.contains("\n").any())
    of_category = alt.Y(
        field=data.fields[category],
        type="nominal",
        sort=None,
        title=None,
        axis=_names_axis(alt, lines=lines),
    )
    places = {"y": of_category}
    if series:
        places["yOffset"] = alt.YOffset(
            field=data.fields[series], type="nominal", sort=None
        )
    hover = data.tooltips([category, series, value.column, *(interval or ()), *names])
    base = alt.Chart(data.values)
    drawn = {**places, "x": data.x(value), **data.color(series), **hover}
    layers = [base.mark_bar().encode(**drawn)]
    if interval:
        low, high = interval
        ends = {"x": data.x(value, low), "x2": alt.X2(field=data.fields[high])}
        rule = base.mark_rule(color="currentColor", strokeWidth=1.5)
        layers.append(rule.encode(**places, **ends, **hover))
    rows = len(frame) if series else frame[category].nunique()
    height = max(60, _ROW * lines * rows if not series else 14 * rows)
    return data.chart(alt.layer(*layers), title, description, height)


def histogram(
    edges: Sequence[float],
    counts: Mapping[str, Sequence[float]],
    x: str,
    y: str,
    *,
    title: str,
    description: str,
    log_y: bool = False,
    format: str = "",
    height: int = _HEIGHT,
) -> Chart:
    """Bars between neighbouring edges [N + 1].

    Args:
      counts: for each series its counts [N]; the name of a single one is not shown.
      x, y: titles of the axes, with units.
      log_y: whether counts are on a logarithmic axis; bars of 0 are then not drawn.
    """
    alt = import_altair()
    edges = np.asarray(edges)
    frame = pd.concat(
        pd.DataFrame({"from": edges[:-1], "to": edges[1:], y: values, "series": name})
        for name, values in counts.items()
    )
    if len(counts) == 1:
        frame = frame.drop(columns="series")
    series = "series" if len(counts) > 1 else None
    across, up = Axis("from", x, format=format), Axis(y, y, log=log_y, zero=not log_y)
    drawn = frame.assign(base=0.5 if log_y else 0.0)
    drawn = drawn[drawn[y] > 0] if log_y else drawn
    data = _Data(drawn, [across, up], ["to", "base", series])
    ends = {
        "x": data.x(across),
        "x2": alt.X2(field=data.fields["to"]),
        "y": data.y(up),
        "y2": alt.Y2(field=data.fields["base"]),
    }
    bar = alt.Chart(data.values).mark_rect(opacity=0.6 if series else 0.9)
    hover = data.tooltips([series, "from", "to", y])
    drawn = bar.encode(**ends, **data.color(series), **hover)
    return data.chart(alt.layer(drawn), title, description, height, frame)


def heat_map(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: Axis,
    *,
    title: str,
    description: str,
    x_title: str = "",
    y_title: str = "",
    names: Sequence[str] = (),
) -> Chart:
    """A coloured cell for each row, at a pair of categories, in the rows' order."""
    alt = import_altair()
    data = _Data(frame, [value], [x, y, *names])
    scale = alt.Scale(scheme="viridis", type="log" if value.log else "linear")
    color = alt.Color(
        field=data.fields[value.column],
        type="quantitative",
        scale=scale,
        title=value.title,
        legend=alt.Legend(
            gradientLength={"expr": "min(160, width)"},
            format=value.format or alt.Undefined,
        ),
    )
    cells = alt.Chart(data.values).mark_rect()
    drawn = cells.encode(
        x=alt.X(
            field=data.fields[x],
            type="nominal",
            sort=None,
            title=x_title or None,
            axis=alt.Axis(labelAngle=-60, labelLimit=110, labelOverlap=False),
        ),
        y=alt.Y(
            field=data.fields[y],
            type="nominal",
            sort=None,
            title=y_title or None,
            axis=_names_axis(alt, 90, 0.3),
        ),
        color=color,
        **data.tooltips([y, x, value.column, *names]),
    )
    height = max(80, _ROW * frame[y].nunique())
    return data.chart(alt.layer(drawn), title, description, height)


class _Data:
    """The rows of a frame that are drawn; columns get names without dots."""

    def __init__(self, frame, axes, columns):
        self._alt = alt = import_altair()
        self.frame = frame
        kept = np.ones(len(frame), bool)
        for axis in axes:
            if axis.log:
                kept &= np.asarray(frame[axis.column]) > 0
        self._left_out = len(frame) - np.count_nonzero(kept)
        self.rows = frame[kept]
        drawn = dict.fromkeys([*(axis.column for axis in axes), *columns])
        drawn.pop(None, None)
        self.fields = {column: f"c{number}" for number, column in enumerate(drawn)}
        self._cells = {column: _cells(self.rows[column]) for column in drawn}
        records = [
            dict(zip(self.fields.values(), row, strict=True))
            for row in zip(*self._cells.values(), strict=True)
        ]
        self.values = alt.InlineData(values=records)

    def x(self, axis, column=None):
        """The horizontal place of a mark, by the axis' column or another."""
        field = self.fields[column or axis.column]
        return self._alt.X(**_place(self._alt, axis, field))

    def y(self, axis, column=None):
        """The vertical place of a mark."""
        field = self.fields[column or axis.column]
        return self._alt.Y(**_place(self._alt, axis, field))

    def color(self, series):
        """The channel that colours by a column, in the order of its values."""
        if series is None:
            return {}
        alt = self._alt
        values = list(dict.fromkeys(self._cells[series]))
        scale = alt.Scale(domain=values) if values else alt.Undefined
        field = self.fields[series]
        channel = alt.Color(field=field, type="nominal", title=None, scale=scale)
        return {"color": channel}

    def rows_per(self, series):
        """The most rows of a series."""
        rows = self.rows
        return rows[series].value_counts().max() if series else len(rows)

    def tooltips(self, columns):
        """The channel that shows the values of columns under the pointer."""
        alt = self._alt
        shown = [
            alt.Tooltip(
                field=self.fields[column],
                type="quantitative" if _is_number(self.rows[column]) else "nominal",
                title=column,
                format=",.4~g" if _is_number(self.rows[column]) else alt.Undefined,
            )
            for column in dict.fromkeys(columns)
            if column is not None
        ]
        return {"tooltip": shown}

    def chart(self, drawing, title, description, height, frame=None):
        """The whole chart of the drawing; its text tells what is left out."""
        if self._left_out:
            description += (
                f" {self._left_out} values of 0 or below have no place on a "
                "logarithmic axis and are not drawn."
            )
        spec = drawing.properties(
            width="container", height=int(height), description=f"{title}. {description}"
        ).to_dict()
        return Chart(title, description, spec, self.frame if frame is None else frame)


def _is_number(column):
    return pd.api.types.is_numeric_dtype(column) and column.dtype != bool


def _cells(column):
    """Values as JSON has them: rounded, None for what is not finite."""
    if not _is_number(column):
        return [None if pd.isna(value) else str(value) for value in column]
    if pd.api.types.is_integer_dtype(column):
        return column.tolist()
    return [
        float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
        for value in column.to_numpy(np.float64)
    ]


def _place(alt, axis, field):
    """The channel of an axis; all layers of a chart state the same scale."""
    scale = {"type": "log", "nice": False} if axis.log else {"zero": axis.zero}
    if axis.limits:
        scale["domain"] = list(axis.limits)
    return {
        "field": field,
        "type": "quantitative",
        "title": axis.title,
        "scale": alt.Scale(**scale),
        "axis": alt.Axis(format=axis.format or alt.Undefined, tickCount=6),
    }


def _names_axis(alt, least=110, share=0.38, lines=1):
    """An axis whose names take `least` pixels, or a share of the chart's width."""
    return alt.Axis(
        labelLimit={"expr": f"max({least}, containerSize()[0] * {share})"},
        labelExpr="split(datum.label, '\\n')",
        labelOffset=-7 * (lines - 1),  # the first line stands at the tick
    )


def _diagonal(alt, x, y):
    """Layers of the line y = x."""
    ends = alt.InlineData(values=[{"at": 0.0}, {"at": 1.0}])
    line = alt.Chart(ends).mark_line(color="#8a9099", strokeDash=[5, 4])
    places = {"x": alt.X(**_place(alt, x, "at")), "y": alt.Y(**_place(alt, y, "at"))}
    return [line.encode(**places)]


def _level(alt, level, y):
    """Layers of a dashed line across, and its text."""
    if not level:
        return []
    values = alt.InlineData(values=[{"y": float(level[0]), "text": level[1]}])
    base = alt.Chart(values).encode(y=alt.Y(**_place(alt, y, "y")))
    rule = base.mark_rule(color=COLORS[1], strokeDash=[6, 4], strokeWidth=2)
    words = base.mark_text(align="left", dx=6, dy=-8, fontWeight="bold", x=0)
    return [rule, words.encode(text="text:N")]


def _marked(alt, marked, x, y):
    """Layers that point points out."""
    if not marked:
        return []
    rows = [{"x": float(a), "y": float(b), "text": text} for a, b, text in marked]
    places = {"x": alt.X(**_place(alt, x, "x")), "y": alt.Y(**_place(alt, y, "y"))}
    base = alt.Chart(alt.InlineData(values=rows)).encode(**places)
    dots = base.mark_point(
        size=90, shape="diamond", filled=True, color=COLORS[1], opacity=1
    )
    words = base.mark_text(align="right", dx=-9, dy=12, fontWeight="bold")
    return [dots, words.encode(text="text:N")]
