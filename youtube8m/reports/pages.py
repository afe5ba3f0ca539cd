"""A report as one HTML file, with its tables as CSV files beside it.

    page = Page("Evaluation of MoeModel", "4,579 videos")
    page.section("Overall")
    page.facts({"run": "/tmp/moe", "checkpoint": "model.ckpt-100"})
    page.paragraph("GAP ranks the 20 highest predictions of all videos.")
    page.chart(charts.line(...), "gap_against_k")
    page.table(Table(frame, "classes", "All classes", notes={"AP": "..."}))
    page.write("report/report.html", "--report_dir")

The file loads nothing from outside: charts (Vega-Lite), tables, styles and scripts are
in it. All text is escaped; a name of a class that looks like HTML stays a name.
"""

import base64
import dataclasses
import functools
import html
import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from youtube8m.errors import UserError
from youtube8m.reports.charts import CONFIG, Chart, import_altair, missing_extra
from youtube8m.util.files import local_path, replacing, require_writable

_FOLDER = pathlib.Path(__file__).parent
_DIGITS = 6  # significant ones of a table's numbers; CSV files have all
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that readers sort and search.

    Attributes:
      frame: the rows; columns are titles, floats numbers with `decimals` places,
        integers counts, and all else text.
      name: of the CSV file, small letters and underscores.
      title: what it holds; if empty, the title of the chart above it.
      notes: what a column means, shown under the pointer.
      links: for a column, an address (or None) for each row.
      decimals: places behind the point, by column; else 3.
    """

    frame: pd.DataFrame
    name: str
    title: str = ""
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    links: Mapping[str, Sequence[str | None]] = dataclasses.field(default_factory=dict)
    decimals: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Page:
    """A page that grows from top to bottom.

    Args:
      title: of the page.
      subtitle: a sentence below it.
    """

    def __init__(self, title: str, subtitle: str = ""):
        self._title, self._subtitle = title, subtitle
        self._parts: list[str] = []
        self._data: list[str] = []
        self._sections: list[tuple[str, str]] = []
        self._has_charts = False
        self.tables: dict[str, Table] = {}  # by name

    def section(self, title: str) -> None:
        """Begins a section."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        self._sections.append((anchor, title))
        self._parts.append(f'<h2 id="{anchor}">{_escape(title)}</h2>')

    def paragraph(self, text: str) -> None:
        """Adds a paragraph of plain text."""
        self._parts.append(f"<p>{_escape(text)}</p>")

    def code(self, text: str) -> None:
        """Adds lines as they are: a command, an equation."""
        self._parts.append(f"<pre>{_escape(text)}</pre>")

    def facts(self, facts: Mapping[str, object]) -> None:
        """Adds names and values; a list is words as they are typed, each on a line."""
        rows = "".join(
            f"<dt>{_escape(name)}</dt><dd>{_fact(value)}</dd>"
            for name, value in facts.items()
        )
        self._parts.append(f'<dl class="facts">{rows}</dl>')

    def image(self, data: bytes, alternative: str, kind: str = "png") -> None:
        """Adds a picture, with its text alternative below."""
        text = base64.b64encode(data).decode()
        said = _escape(alternative)
        self._parts.append(
            f'<figure><img src="data:image/{kind};base64,{text}" alt="{said}">'
            f"<figcaption>{said}</figcaption></figure>"
        )

    def gallery(self, pictures: Sequence[bytes], captions: Sequence[str]) -> None:
        """Adds small JPEG pictures side by side, each with a caption below."""
        cells = []
        for data, caption in zip(pictures, captions, strict=True):
            text, said = base64.b64encode(data).decode(), _escape(caption)
            image = f'<img src="data:image/jpeg;base64,{text}" alt="{said}">'
            cells.append(f"<li>{image}<span>{said}</span></li>")
        self._parts.append(f'<ul class="gallery">{"".join(cells)}</ul>')

    def chart(self, chart: Chart, table: "Table | str", shown: bool = True) -> None:
        """Adds a chart with its title, its description and the table behind it.

        Args:
          table: the values behind the chart; a name: those of the frame it draws.
          shown: whether the table is folded below the chart; else it stands elsewhere
            on the page, by `table`.
        """
        if isinstance(table, str):
            table = Table(chart.frame, table)
        table = dataclasses.replace(table, title=table.title or chart.title)
        name = table.name
        number = sum(part.startswith("<figure") for part in self._parts)
        identity = f"{name}-chart{number}"
        self._has_charts = True
        self._data.append(_data(identity, chart.spec))
        head = f"<h3>{_escape(chart.title)}</h3>"
        caption = f"<figcaption>{_escape(chart.description)}</figcaption>"
        plot = f'<div class="plot" data-chart="{identity}"></div>'
        if shown:
            place = self._place(table)
            below = f'<details class="behind"><summary>Table</summary>{place}</details>'
        else:
            link = f'<a href="#table-{name}">{_escape(table.title)}</a>'
            below = f'<p class="note">Table: {link}</p>'
        self._parts.append(f"<figure>{head}{caption}{plot}{below}</figure>")

    def table(self, table: Table, text: str = "") -> None:
        """Adds a table with its title and a sentence about it."""
        said = f"<p class='said'>{_escape(text)}</p>" if text else ""
        title = f'<h3 id="table-{table.name}">{_escape(table.title)}</h3>'
        self._parts.append(title + said + self._place(table))

    def begin_columns(self) -> None:
        """What follows stands side by side where there is room."""
        self._parts.append('<div class="columns">')

    def end_columns(self) -> None:
        """Ends what `begin_columns` began."""
        self._parts.append("</div>")

    def write(self, path: str, flag: str) -> list[str]:
        """Writes the page and its tables, and returns their paths, the page first.

        The directory is made. Raises UserError, which names `flag`, if a file cannot be
        written or the extra `report` is not installed.
        """
        path = local_path(path, flag)
        text = self.html(flag)
        folder = os.path.dirname(path)
        _make_directory(folder, flag)
        written = []
        for table in self.tables.values():
            written.append(os.path.join(folder, f"{table.name}.csv"))
            with replacing(written[-1], flag) as file:
                table.frame.to_csv(file, index=False)
        with replacing(path, flag) as file:
            file.write(text)
        return [path, *written]

    def html(self, flag: str = "report", scripts: Sequence[str] = ("page.js",)) -> str:
        """The page as text. Raises UserError without the extra `report`.

        Args:
          scripts: files beside this module.
        """
        names = ("page.css", *scripts)
        style, *script = (_FOLDER.joinpath(n).read_text("utf-8") for n in names)
        script = "\n".join(script)
        config = []
        if self._has_charts:
            script = f"{_vega_bundle(flag)}\n{script}"
            config.append(_data("chart-config", CONFIG))
        return "\n".join(
            [
                '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{_escape(self._title)}</title>",
                '<link rel="icon" href="data:,">',
                f"<style>\n{style}</style>\n</head>\n<body>",
                self.content(),
                *config,
                "<script>\n" + script.replace("</script", r"<\/script"),
                "</script>\n</body>\n</html>\n",
            ]
        )

    def content(self) -> str:
        """What differs between pages: the text and the data of charts and tables."""
        links = "".join(
            f'<li><a href="#{anchor}">{_escape(title)}</a></li>'
            for anchor, title in self._sections
        )
        contents = f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
        subtitle = f"<p class='said'>{_escape(self._subtitle)}</p>"
        return "\n".join(
            [
                "<main>",
                f"<h1>{_escape(self._title)}</h1>",
                subtitle if self._subtitle else "",
                contents if len(self._sections) > 1 else "",
                "<noscript><p>The charts and tables need JavaScript; the tables are "
                "also in the CSV files beside this page.</p></noscript>",
                *self._parts,
                "</main>",
                *self._data,
            ]
        )

    def _place(self, table):
        """Where the page's script puts a table, whose rows are kept as JSON."""
        self._keep(table)
        columns = [_column(table, name) for name in table.frame.columns]
        identity = f"{table.name}-table"
        self._data.append(_data(identity, {"columns": columns}))
        title = _escape(table.title)
        return f'<div data-table="{identity}" data-title="{title}"></div>'

    def _keep(self, table):
        if not _NAME.fullmatch(table.name) or table.name in self.tables:
            raise ValueError(f"{table.name!r} is no name of a table, or is given twice")
        self.tables[table.name] = table


def _data(identity, value):
    """A value that the page's script reads, as JSON."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", r"\u003c")
    return f'<script type="application/json" id="{identity}">{text}</script>'


def require_report(directory: str, name: str, flag: str) -> str:
    """The path of the page `name` in a directory, which is made.

    Raises UserError, which names `flag`, if it cannot be written or the extra `report`
    is not installed. Called before long work.
    """
    import_altair(flag)
    if importlib.util.find_spec("vl_convert") is None:
        raise missing_extra(flag, "vl-convert-python")
    path = os.path.join(local_path(directory, flag), name)
    _make_directory(os.path.dirname(path), flag)
    require_writable(path, flag)
    return path


def _make_directory(path, flag):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{flag}={path}: cannot be made ({error.strerror})") from None


def _column(table, name):
    """A column of a table as the page's script reads it."""
    values = table.frame[name]
    kind, cells = "text", ["" if pd.isna(v) else valid_text(v) for v in values]
    if pd.api.types.is_integer_dtype(values):
        kind, cells = "integer", values.tolist()
    elif pd.api.types.is_float_dtype(values):
        kind, cells = "number", _rounded(values.to_numpy(np.float64))
    column = {
        "title": valid_text(name),
        "note": table.notes.get(name, ""),
        "kind": kind,
        "digits": table.decimals.get(name, 3),
        "values": cells,
    }
    return column | ({"links": list(table.links[name])} if name in table.links else {})


def _rounded(values):
    finite = np.isfinite(values)
    return [
        float(f"{value:.{_DIGITS}g}") if is_finite else None
        for value, is_finite in zip(values, finite, strict=True)
    ]


def valid_text(value: object) -> str:
    """Any value as text that UTF-8 can hold; ids and paths may hold other bytes."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _fact(value):
    if not isinstance(value, list):
        return _escape(value)
    return "".join(f'<span class="typed">{_escape(word)}</span>' for word in value)


def _escape(value):
    return html.escape(valid_text(value))


@functools.cache
def _vega_bundle(flag):
    """The JavaScript of Vega, Vega-Lite and Vega-Embed, from an installed package."""
    import_altair(flag)
    try:
        import vl_convert
    except ImportError:
        raise missing_extra(flag, "vl-convert-python") from None
    from altair.utils._importers import vl_version_for_vl_convert

    return vl_convert.javascript_bundle(vl_version=vl_version_for_vl_convert())
