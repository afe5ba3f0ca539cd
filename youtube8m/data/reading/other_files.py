"""What a file that is no TFRecord file is, by its first bytes, and what helps."""

import zlib
from typing import BinaryIO

from youtube8m.util.text import shortened

# How files of other kinds begin -> what they are, and what to do.
_KINDS = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file by git lfs pull",
    b"<": "a web page, perhaps an error of a download: download the file again",
    b"\x93NUMPY": "a NumPy array: youtube8m.data.examples writes records",
    b"\x89HDF": "HDF5: youtube8m.data.examples writes records",
    b"PAR1": "Parquet: youtube8m.data.examples writes records",
}
_EXAMPLE = (b"\n", b"\x12")  # how a serialised Example or SequenceExample begins


def known_kind(start: bytes) -> str:
    """What a file with these first bytes is, for sure, and what helps; or ""."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for mark, what in _KINDS.items() if text.startswith(mark)), "")


_BLOCK = 1 << 20  # bytes read at once


def packing_fault(file: BinaryIO) -> str:
    """What is wrong with a file of gzip or zlib: "is cut short"; "" if nothing is."""
    any_header = zlib.MAX_WBITS + 32  # of gzip or of zlib
    unpacker, is_whole = zlib.decompressobj(any_header), False
    file.seek(0)
    while block := file.read(_BLOCK):
        while block:
            if is_whole:  # another follows
                unpacker, is_whole = zlib.decompressobj(any_header), False
            try:
                unpacker.decompress(block)
            except zlib.error:
                return "is damaged"
            block, is_whole = unpacker.unused_data, unpacker.eof
    return "" if is_whole else "is cut short"


def advice(start: bytes) -> str:
    """What a file with these first bytes seems to be, to add to an error; or "".

    Files of text are taken for lists of shards, other than web pages and the like.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if what := known_kind(start):
        return f"; it is {what}"
    if start.startswith(_EXAMPLE) and (b"_list" in start or b"id" in start):
        return (
            "; it may be one serialised Example: write it as a record of a TFRecord "
            "file, as youtube8m.data.examples.write_records does"
        )
    lines = [line for line in text.split(b"\n") if line.strip()]
    if not lines or b"\0" in start:
        return ""
    try:
        first = lines[0].strip().decode()
    except UnicodeDecodeError:
        return ""
    return (
        f"; it is text and begins with {shortened(first)!r}: name the shards "
        "themselves, by a glob or separated by commas"
    )
