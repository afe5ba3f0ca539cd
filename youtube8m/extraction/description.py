"""features.json: how the features of a directory were made.

description = describe(config)
keep(directory, description)      # an error where the directory has others
"""

import hashlib
import json
import os
from typing import Any

from youtube8m.errors import UserError
from youtube8m.extraction.config import ExtractConfig
from youtube8m.util.files import replacing
from youtube8m.util.json import JsonError, read_json

FILE = "features.json"
# The fields that say how features come about.
_FIELDS = (
    "image_model",
    "image_weights",
    "image_range",
    "frames_per_second",
    "max_frames",
    "feature_dtype",
    "image_feature_key",
    "audio",
    "insert_zero_audio_features",
    "skip_frame_level_features",
)


def describe(config: ExtractConfig, sizes: dict[str, int]) -> dict[str, Any]:
    """What features.json holds.

    Args:
      sizes: of each feature, by name.
    """
    values = {name: getattr(config, name) for name in _FIELDS}
    if config.directory_of_pca:
        values["pca_sha256"] = _digest(config.directory_of_pca)
    return values | {"feature_sizes": sizes}


def _digest(directory):
    path = os.path.join(directory, "eigenvecs.npy")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(directory: str) -> dict[str, Any] | None:
    """The description of a directory's features, None if there is none.

    Raises UserError if it cannot be read.
    """
    path = os.path.join(directory, FILE)
    if not os.path.exists(path):
        return None
    try:
        return read_json(path)
    except JsonError as error:
        raise UserError(f"{path}: {error}") from None


def keep(directory: str, description: dict[str, Any]) -> None:
    """Writes features.json unless it is there.

    Raises UserError, naming both values, if it is and says something else.
    """
    before = read(directory)
    if before is None:
        with replacing(os.path.join(directory, FILE), "--output_dir") as file:
            file.write(json.dumps(description, indent=2) + "\n")
        return
    for name in sorted(before.keys() | description.keys()):
        old, new = before.get(name), description.get(name)
        if old != new:
            raise UserError(
                f"{directory}: its features were made with {name}={old}, not {new}; "
                "give the same flags, or another --output_dir"
            )
