"""Text for people to read, and ids as text.

print("\\n".join(aligned([("name", "size"), ("MoeModel", "1,024")], numbers=(1,))))
shortened("a name of many words", 10)  # 'a name ...'
encode_id(decode_id(b"aA\\xff"))        # the same bytes
"""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> list[str]:
    """A line per row; of the columns, those in `numbers` are aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = [(w, ">" if n in numbers else "<") for n, w in enumerate(widths)]
    return [
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, (width, side) in zip(row, columns, strict=True)
        ).rstrip()
        for row in rows
    ]


def decode_id(video_id: bytes) -> str:
    """An id as text, which `encode_id` turns into the same bytes; most are ASCII."""
    return video_id.decode("utf-8", "surrogateescape")


def encode_id(video_id: str) -> bytes:
    """The bytes of an id that `decode_id` read."""
    return video_id.encode("utf-8", "surrogateescape")


def shortened(text: str, width: int = 60) -> str:
    """The text, cut where it is longer than `width`."""
    return text if len(text) <= width else text[: width - 3] + "..."


def file_size(count: int) -> str:
    """A number of bytes as people say it: '1.53 TB', '227 kB', '12 bytes'."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
