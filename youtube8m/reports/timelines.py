"""Charts over the seconds of a video: a row for each label, a cell for each segment.

chart = time_map(frame, "label", Axis("confidence", "confidence"), title=..., ...)
"""

import numpy as np
import pandas as pd

from youtube8m.reports.charts import COLORS, Axis, Chart, import_altair

_ROW = 24  # pixels
# Nothing is the colour of the page, which may be light or dark.
_NOTHING = "rgba(138, 144, 153, 0.12)"


def time_map(
    frame: pd.DataFrame,
    row: str,
    value: Axis,
    *,
    title: str,
    description: str,
    signed: bool = False,
) -> Chart:
    """A coloured cell for each row of the frame, from second `from` to second `to`.

    Args:
      row: the column that says in which row of the chart a cell lies.
      signed: whether values may be negative, and 0 is to be the colour between.
    """
    alt = import_altair()
    largest = max(float(np.nanmax(np.abs(frame[value.column]), initial=0.0)), 1e-9)
    domain, colors = [0, largest], [_NOTHING, COLORS[0]]
    if signed:
        domain, colors = [-largest, 0, largest], [COLORS[1], _NOTHING, COLORS[0]]
    columns = zip(
        frame["from"], frame["to"], frame[row], frame[value.column], strict=True
    )
    records = [
        {
            "from": float(start),
            "to": float(end),
            "row": str(name),
            "value": float(f"{number:.5g}") if np.isfinite(number) else None,
        }
        for start, end, name, number in columns
    ]
    seconds = alt.Scale(nice=False, domain=[0, float(frame["to"].max())])
    color = alt.Color(
        "value:Q",
        title=value.title,
        scale=alt.Scale(domain=domain, range=colors, interpolate="rgb"),
        legend=alt.Legend(gradientLength=140, format=value.format or alt.Undefined),
    )
    cells = (
        alt.Chart(alt.InlineData(values=records))
        .mark_rect()
        .encode(
            x=alt.X(
                "from:Q",
                title="seconds",
                scale=seconds,
                axis=alt.Axis(tickMinStep=5, grid=False),
            ),
            x2="to:Q",
            y=alt.Y("row:N", sort=None, title=None),
            color=color,
            tooltip=[
                alt.Tooltip("row:N", title=row),
                alt.Tooltip("from:Q", title="from second"),
                alt.Tooltip("to:Q", title="to second"),
                alt.Tooltip("value:Q", title=value.title, format=value.format or ".3f"),
            ],
        )
        .properties(
            width="container",
            height=max(60, _ROW * frame[row].nunique()),
            description=f"{title}. {description}",
        )
    )
    return Chart(title, description, cells.to_dict(), frame)
