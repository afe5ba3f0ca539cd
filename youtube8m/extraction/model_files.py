"""The published files of networks: where they lie, and where they are to be had.

find("~/yt8m", "mean.npy")     # the path, or an error that says where to get it
"""

import os
import shlex
from typing import NamedTuple

from youtube8m.errors import UserError


class Archive(NamedTuple):
    """What holds a file, and how large that is."""

    address: str
    size: str
    unpack: bool = False


_INCEPTION = Archive(
    "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
    "88 MB",
    unpack=True,
)
_PCA = Archive("http://data.yt8m.org/yt8m_pca.tgz", "25 MB", unpack=True)
_AUDIOSET = "https://storage.googleapis.com/audioset"

GRAPH = "classify_image_graph_def.pb"
CHECKPOINT = "vggish_model.ckpt"
VGGISH_PCA = "vggish_pca_params.npz"
PCA = ("mean.npy", "eigenvals.npy", "eigenvecs.npy")
ARCHIVES = {
    GRAPH: _INCEPTION,
    **dict.fromkeys(PCA, _PCA),
    CHECKPOINT: Archive(f"{_AUDIOSET}/{CHECKPOINT}", "277 MB"),
    VGGISH_PCA: Archive(f"{_AUDIOSET}/{VGGISH_PCA}", "71 kB"),
}


def find(directory: str, name: str) -> str:
    """The path of a file. Raises UserError, with its address, if it is missing."""
    directory = os.path.expanduser(directory)
    path = os.path.join(directory, name)
    if os.path.exists(path):
        return path
    archive, place = ARCHIVES[name], shlex.quote(directory)
    make = "" if os.path.isdir(directory) else f"mkdir -p {place} && "
    pipe = f" | tar xz -C {place}" if archive.unpack else f" -o {shlex.quote(path)}"
    raise UserError(
        f"{path}: there is no such file; get it ({archive.size}) by {make}curl -L "
        f"{archive.address}{pipe}, or name the directory that has it in --model_dir"
    )
