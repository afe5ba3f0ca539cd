"""How the features of records were made: features.json, beside the shards.

    made = made_of_shards(paths, ("rgb",), "--train_data_pattern")
    differences(made, run.features, ("rgb",))     # [("pca", "a/pca", "b/pca")]

tools.extract_features writes the file, model_flags.json keeps what it says. Where
nothing says how features were made, nothing is compared.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from youtube8m.errors import UserError, reason
from youtube8m.util.json import JsonError, parse_json
from youtube8m.util.text_files import read_bytes

FILE = "features.json"
AUDIO = ("audio", "mean_audio")  # what the sound's feature is called

# What must be the same for all features, for those of images, and for sound.
_OF_ALL = ("frames_per_second", "feature_dtype")
_OF_IMAGES = ("image_model", "image_weights", "image_range", "pca")
_OF_SOUND = ("audio", "vggish", "vggish_pca")
COMPARED = (*_OF_ALL, *_OF_IMAGES, *_OF_SOUND)
_IF_KNOWN = ("image_model", "vggish", "vggish_pca")  # digests; one may lack them

Made = Mapping[str, Any]  # what features.json says; empty: not known


def file_beside(path: str) -> str:
    """The description of a single file of records, which shares its directory."""
    return f"{path}.{FILE}"


def read(path: str) -> dict[str, Any]:
    """What a description says; {} if there is none, or a file of another program.

    Raises UserError if it cannot be read.
    """
    try:
        text = _read_remote(path) if "://" in path else read_bytes(path)
        return parse_json(text, _ours) if text else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, JsonError) as error:
        raise UserError(
            f"{path}: cannot be read ({reason(error)}); it says how the features "
            "beside it were made: restore it, or remove it"
        ) from None


def _ours(values):
    """The values of a description, and nothing of what others keep by that name."""
    is_ours = isinstance(values, dict) and not values.keys().isdisjoint(COMPARED)
    if is_ours and not isinstance(values.get("sha256", {}), dict):
        raise ValueError("sha256 is no list of digests by name")
    return values if is_ours else {}


def _read_remote(path):
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError:
        return b""
    except tf.errors.OpError as error:
        raise OSError(reason(error)) from None


def made_of_shards(paths: Iterable[str], names: Sequence[str], flag: str) -> Made:
    """How the features of shards were made; {} if nothing says.

    Args:
      names: of the features that are used.
      flag: what names the shards.

    Raises UserError if they were made in different ways.
    """
    first, where = {}, ""
    for file in dict.fromkeys(name for path in paths for name in _candidates(path)):
        made = read(file)
        if made and first:
            if different := differences(first, made, names):
                raise UserError(
                    f"{flag}: {where} and {file} say that features were made "
                    f"differently ({different_values(different)}); name shards of one "
                    "kind"
                )
        elif made:
            first, where = made, file
    return first


def _candidates(path):
    directory = os.path.dirname(path)
    if "://" not in path and os.path.exists(own := file_beside(path)):
        return [own]
    return [os.path.join(directory, FILE)]


def differences(
    one: Made, other: Made, names: Sequence[str]
) -> list[tuple[str, Any, Any]]:
    """(what, value of one, value of the other) of what differs; [] if one is unknown.

    Files are the same if their contents are, wherever they lie.

    Args:
      names: of the features that count.
    """
    if not one or not other:
        return []
    fields = list(_OF_ALL)
    fields += _OF_IMAGES if {*names} - {*AUDIO} else ()
    fields += _OF_SOUND if {*names} & {*AUDIO} else ()
    found = []
    for field in fields:
        digests = [made.get("sha256", {}).get(field) for made in (one, other)]
        values = [made.get(field) for made in (one, other)]
        if digests != [None, None] and (all(digests) or field not in _IF_KNOWN):
            same = digests[0] == digests[1]
            values = [_named(*pair) for pair in zip(values, digests, strict=True)]
        else:
            same = values[0] == values[1]
        if not same:
            found.append((field, *values))
    return found


def _named(value, digest):
    if not digest:
        return value or "none"
    short = f"sha256 {digest[:8]}"
    return f"{value} ({short})" if value else short


def different_values(different: list[tuple[str, Any, Any]]) -> str:
    """'image_model yt8m and my.keras, ...'"""
    return ", ".join(f"{name} {one} and {other}" for name, one, other in different)


def to_json(made: Made) -> str:
    """The text of a description."""
    return json.dumps(dict(made), indent=2) + "\n"
