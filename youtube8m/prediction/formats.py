"""The formats of a file of predictions: Kaggle's CSV, JSON lines, Parquet.

    format_of("predictions.parquet")      # by its ending: "parquet"
    find_format("predictions.parquet")    # by its first bytes

JSON lines and Parquet have a row for each video, or for each segment:

    id              text
    segment_start   seconds; of segments alone
    labels          class ids, the highest confidence first
    names           of the labels; if there is a vocabulary that has them
    verticals       of the labels; likewise
    confidences     float32, as many as labels
"""

import codecs
import importlib
import re

from youtube8m.errors import UserError

CSV, JSONL, PARQUET = FORMATS = ("csv", "jsonl", "parquet")

ID, SEGMENT_START, LABELS = "id", "segment_start", "labels"
NAMES, VERTICALS, CONFIDENCES = "names", "verticals", "confidences"

_ENDINGS = {".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET, ".pq": PARQUET}
_PARQUET_MAGIC = b"PAR1"
_SPELLED = r"u(dc[89a-f][0-9a-f]|005c)"  # a byte, or a backslash before such letters


def format_of(path: str) -> str:
    """The format that a file's ending means; CSV, where it means none."""
    known = (form for ending, form in _ENDINGS.items() if path.lower().endswith(ending))
    return next(known, CSV)


def find_format(path: str) -> str:
    """The format of a file that exists; of an empty one, by its ending.

    Raises UserError if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not start:
        return format_of(path)
    if start.startswith(_PARQUET_MAGIC):
        return PARQUET
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    return JSONL if text.startswith(b"{") else CSV


def load_pyarrow(flag: str):
    """The modules pyarrow and pyarrow.parquet.

    Raises UserError, which names `flag`, if they are not installed.
    """
    try:
        return tuple(map(importlib.import_module, ("pyarrow", "pyarrow.parquet")))
    except ImportError:
        raise UserError(
            f"{flag}: Parquet needs pyarrow, which is not installed; pip install "
            "'youtube8m[parquet]', or choose --output_format=jsonl"
        ) from None


def id_to_text(video_id: str) -> str:
    r"""An id as valid text: a byte that is not UTF-8 is spelled as JSON does, \udcff.

    An id that has these very letters gets \u005c for its backslash.

    Args:
      video_id: as `decode_id` reads it.
    """
    text = re.sub(rf"\\(?={_SPELLED})", r"\\u005c", video_id)
    return text.encode("utf-8", "backslashreplace").decode()


def id_from_text(text: str) -> str:
    """The id, as `decode_id` reads it, that `id_to_text` spelled."""
    return re.sub(rf"\\{_SPELLED}", lambda match: chr(int(match[1], 16)), text)
