"""Text files that users bring: made by any program, copied, compressed or damaged.

for number, start, line in read_lines("predictions.csv"): ...   # line: bytes
for number, cells in read_table("vocabulary.csv"): ...          # cells: list of str

A byte order mark, CRLF, blank lines and a missing last line break do not count. What
is compressed, or no text in UTF-8, is refused in one line with its file and line.
"""

import codecs
import csv
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from youtube8m.errors import UserError, reason
from youtube8m.util.files import PACKED_START, packed_as

_OTHER_CODES = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Line(NamedTuple):
    """A line that is not blank, without its line break."""

    number: int  # from 1
    start: int  # in the file, in bytes
    text: bytes


def read_bytes(path: str) -> bytes:
    """All of a file. Raises OSError, and UserError if it is compressed."""
    with open(path, "rb") as file:
        content = file.read()
    _require_plain(content[:PACKED_START], path)
    return content


def read_lines(path: str) -> Iterator[Line]:
    """The lines of a file. Raises UserError if it cannot be read, or is no text."""
    try:
        with open(path, "rb") as file:
            yield from numbered_lines(file, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)})") from None


def numbered_lines(file: BinaryIO, path: str) -> Iterator[Line]:
    """The lines of an open file. Raises UserError if it is no text."""
    start = 0
    for number, line in enumerate(file, 1):
        text, end = line.rstrip(b"\r\n"), start + len(line)
        if number == 1:
            _require_plain(line[:PACKED_START], path)
            text = text.removeprefix(codecs.BOM_UTF8)
            start += len(line.rstrip(b"\r\n")) - len(text)
        if b"\0" in text:
            raise UserError(f"{path}: line {number} holds zero bytes; expected text")
        if b"\r" in text:
            raise UserError(
                f"{path}: line {number} holds carriage returns; save the file with the "
                "line breaks of Linux or Windows"
            )
        if text.strip():
            yield Line(number, start, text)
        start = end


def read_table(path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its (last) line.

    Raises UserError if it cannot be read, a line is not UTF-8, or no CSV.
    """
    numbers: list[int] = []  # of the lines that were read
    rows = csv.reader(_decoded(read_lines(path), path, numbers), strict=True)
    try:
        for row in rows:
            yield numbers[-1], [cell.strip() for cell in row]
    except csv.Error as error:
        raise UserError(f"{path}: line {numbers[-1]} is no CSV ({error})") from None


def _decoded(lines: Iterable[Line], path, numbers):
    for number, _, text in lines:
        numbers.append(number)
        try:
            yield text.decode() + "\n"
        except UnicodeDecodeError as error:
            wrong = text[error.start : error.start + 1]
            raise UserError(
                f"{path}: line {number} holds the byte {wrong!r}, which is not UTF-8; "
                "save the file as UTF-8"
            ) from None


def _require_plain(start, path):
    if kind := packed_as(start):
        raise UserError(f"{path}: is compressed ({kind}); decompress it")
    if start.startswith(_OTHER_CODES):
        raise UserError(f"{path}: is UTF-16 text; save it as UTF-8")
