"""What features.json says of the features that this package makes.

made = describe(config, {"rgb": 1024, "audio": 128})
keep(directory, made)             # an error where the directory has others
feature_config(made, batch_size=8)      # how to make the same of other videos
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from youtube8m.config import provenance
from youtube8m.errors import UserError
from youtube8m.extraction import model_files
from youtube8m.extraction.config import FeatureConfig
from youtube8m.extraction.image_networks import STARTER
from youtube8m.util.files import replacing

# The fields of FeatureConfig that say how features come about.
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


def describe(config: FeatureConfig, sizes: Mapping[str, int]) -> dict[str, Any]:
    """What features.json holds: flags, where files lie, and digests of them.

    Args:
      sizes: of each feature, by name.

    Raises OSError if a file cannot be read.
    """
    values = {name: getattr(config, name) for name in _FIELDS}
    files = _files(config)
    for name in files.keys() & {"image_model", "image_weights"}:
        values[name] = files[name][0]
    places = {name: paths[0] for name, paths in files.items() if name not in values}
    if "pca" in places:
        places["pca"] = os.path.dirname(places["pca"])
    digests = {name: _digest(paths) for name, paths in files.items()}
    return values | places | {"sha256": digests, "feature_sizes": dict(sizes)}


def _files(config):
    """What depends on files of the user, and its files, as absolute paths."""
    model_dir = os.path.expanduser(config.model_dir)
    files = {}
    names = {"image_model": (STARTER,), "image_weights": ("imagenet", "random")}
    for name, no_files in names.items():
        value = getattr(config, name)
        path = os.path.expanduser(value)
        if value in no_files:
            continue
        if os.path.isdir(path):
            walk = os.walk(path)
            inside = sorted(os.path.join(top, n) for top, _, ns in walk for n in ns)
            files[name] = [path, *inside]
        elif os.path.isfile(path):
            files[name] = [path]
    if config.directory_of_pca:
        files["pca"] = [
            os.path.join(config.directory_of_pca, name) for name in model_files.PCA
        ]
    if config.audio:
        files["vggish"] = [os.path.join(model_dir, model_files.CHECKPOINT)]
        files["vggish_pca"] = [os.path.join(model_dir, model_files.VGGISH_PCA)]
    return {name: list(map(os.path.abspath, paths)) for name, paths in files.items()}


def _digest(paths):
    digest = hashlib.sha256()
    for path in filter(os.path.isfile, paths):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def feature_config(made: Mapping[str, Any], **fields) -> FeatureConfig:
    """How to make the same features of other videos; `fields` replace what is known.

    Raises UserError if the description is not one of this package.
    """
    known = {name: made[name] for name in _FIELDS if name in made}
    if made.get("pca"):
        known["pca_dir"] = made["pca"]
    if made.get("vggish"):
        known["model_dir"] = os.path.dirname(made["vggish"])
    try:
        return FeatureConfig(**(known | fields))
    except TypeError as error:
        raise UserError(f"{provenance.FILE}: is damaged ({error})") from None


def keep(path: str, made: Mapping[str, Any]) -> None:
    """Writes a description unless it is there.

    Raises UserError, naming both values, if it is and says something else.
    """
    before = provenance.read(path)
    if not before:
        with replacing(path, "--output_dir") as file:
            file.write(provenance.to_json(made))
        return
    different = provenance.differences(before, made, (*made["feature_sizes"],))
    for name in (*_FIELDS, "feature_sizes"):
        if name not in provenance.COMPARED and before.get(name) != made[name]:
            different.append((name, before.get(name), made[name]))
    if different:
        found = [f"{name}={old}, not {new}" for name, old, new in different]
        raise UserError(
            f"{os.path.dirname(path)}: its features were made with "
            f"{', '.join(found)}; give the same flags, or another --output_dir"
        )
