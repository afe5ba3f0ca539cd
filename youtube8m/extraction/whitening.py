"""PCA with whitening, and bytes: what becomes of the output of a network.

    pca = Whitening.load_starter("~/yt8m")
    quantize_rounding(pca(pool))                # uint8 [T, 1024]

A whitened feature has mean 0 and variance 1 on the data that the PCA was fitted to, so
most of it lies in [-2, 2], which bytes span. Shapes: T frames, D in, K out.
"""

import os

import numpy as np

from youtube8m import schema
from youtube8m.errors import UserError, reason
from youtube8m.extraction import model_files
from youtube8m.util.files import ARRAY_ERRORS, replacing

_FILES = model_files.PCA
# Added to the variances, so that those near 0 do not blow up noise.
_EPSILON = 1e-4


class Whitening:
    """y = matrix (x - mean), in float32.

    Args:
      mean: [D].
      matrix: [K, D].
    """

    def __init__(self, mean: np.ndarray, matrix: np.ndarray):
        self.mean = np.asarray(mean, np.float32).reshape(-1)
        self.matrix = np.asarray(matrix, np.float32)
        if self.matrix.ndim != 2 or self.matrix.shape[1] != len(self.mean):
            raise UserError(
                f"the PCA's mean has {len(self.mean)} values, its matrix is "
                f"{list(self.matrix.shape)}; expected [K, {len(self.mean)}]"
            )

    @property
    def size(self) -> int:
        """K."""
        return len(self.matrix)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """[T, D] -> float32 [T, K]. Raises UserError if D is another."""
        if values.shape[-1] != len(self.mean):
            raise UserError(
                f"the PCA is of {len(self.mean)} values, but the network gives "
                f"{values.shape[-1]}; it belongs to another network"
            )
        return (np.asarray(values, np.float32) - self.mean) @ self.matrix.T

    @classmethod
    def load_starter(cls, directory: str, size: int | None = 1024) -> "Whitening":
        """Of mean.npy [D, 1], eigenvals.npy and eigenvecs.npy [>= K, D].

        y = (eigenvecs (x - mean)) / sqrt(eigenvals + 1e-4), of the first K rows, as
        the starter code's feature_extractor. K is `size`; None: all rows.

        Raises UserError if a file is missing or damaged.
        """
        mean, values, vectors = (load_array(directory, name) for name in _FILES)
        values, vectors = values.reshape(-1)[:size], vectors[:size]
        if len(values) != len(vectors) or (size and len(values) < size):
            raise UserError(
                f"{directory}: eigenvals.npy has {len(values)} values and "
                f"eigenvecs.npy {len(vectors)} rows; expected {size or 'as many'}"
            )
        if (values < 0).any():
            raise UserError(
                f"{directory}: eigenvals.npy has the value {values.min():g}; expected "
                "variances, from 0 up"
            )
        deviations = np.sqrt(values.astype(np.float64) + _EPSILON)
        return cls(mean, vectors.astype(np.float64) / deviations[:, None])

    @classmethod
    def load_vggish(cls, directory: str) -> "Whitening":
        """Of vggish_pca_params.npz. Raises UserError if it is missing or damaged."""
        path = model_files.find(directory, model_files.VGGISH_PCA)
        try:
            with np.load(path, allow_pickle=False) as file:
                names = ("pca_means", "pca_eigen_vectors")
                return cls(*(_require_finite(path, file[name]) for name in names))
        except UserError:
            raise
        except ARRAY_ERRORS as error:
            raise UserError(f"{path}: cannot be read ({reason(error)})") from None


class Moments:
    """The mean and covariance of features that come in parts.

    moments = Moments()
    moments.update(features)           # [T, D], many times
    moments.write_pca(directory, 1024)
    """

    def __init__(self):
        self.count, self._sum, self._products, self._shift = 0, 0.0, 0.0, None

    def update(self, values: np.ndarray) -> None:
        """Takes features [T, D] in."""
        values = np.asarray(values, np.float64)
        if self._shift is None:
            self._shift = values.mean(axis=0)  # near the mean: less cancels out
        values = values - self._shift
        self.count += len(values)
        self._sum = self._sum + values.sum(axis=0)
        self._products = self._products + values.T @ values

    def write_pca(self, directory: str, size: int) -> None:
        """Writes the PCA in the starter code's layout, float32.

        Raises UserError if there are no features, or `size` is more than they have, or
        not less than the frames: there are no more directions.
        """
        if not self.count:
            raise UserError(f"--fit_pca={size}: no video has frames that can be used")
        dimensions = len(self._shift)
        if size > dimensions:
            raise UserError(
                f"--fit_pca={size}: the network gives {dimensions} values; give at "
                "most as many"
            )
        if size >= self.count:
            raise UserError(
                f"--fit_pca={size}: there are only {self.count} frames; give a smaller "
                "number, more videos, or --feature_dtype=float16"
            )
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        values, vectors = np.linalg.eigh(covariance)  # ascending
        values, vectors = values[::-1][:size], vectors.T[::-1][:size]
        arrays = (mean + self._shift)[:, None], values.clip(0)[:, None], vectors
        os.makedirs(directory, exist_ok=True)
        for name, array in zip(_FILES, arrays, strict=True):
            path = os.path.join(directory, name)
            with replacing(path, "--pca_dir", binary=True) as file:
                np.save(file, array.astype(np.float32))


def has_pca(directory: str) -> bool:
    """Whether all files of a PCA are there. Raises UserError if only some are."""
    there = [n for n in _FILES if os.path.exists(os.path.join(directory, n))]
    if there and len(there) < len(_FILES):
        (missing, *_) = [name for name in _FILES if name not in there]
        raise UserError(
            f"{directory}: has {there[0]}, but no {missing}; restore it, or remove all "
            "of the PCA to have another one fitted"
        )
    return bool(there)


def load_array(directory: str, name: str) -> np.ndarray:
    """A .npy file. Raises UserError if it is missing or damaged."""
    path = model_files.find(directory, name)
    try:
        values = np.load(path, allow_pickle=False)
    except ARRAY_ERRORS as error:
        raise UserError(f"{path}: cannot be read ({reason(error)})") from None
    return _require_finite(path, values)


def _require_finite(path, values):
    """Raises UserError unless they are finite numbers, of at least one axis."""
    is_number = values.dtype.kind in "fiu" and values.ndim
    if not is_number or not np.isfinite(values).all():
        raise UserError(
            f"{path}: holds {values.dtype} {list(values.shape)}, not all of them "
            "finite numbers; get the file again"
        )
    return values


def quantize_rounding(
    values: np.ndarray,
    minimum: float = schema.QUANTIZED_MIN,
    maximum: float = schema.QUANTIZED_MAX,
) -> np.ndarray:
    """Floats to the nearest of 256 levels, halves to even; what lies beyond is clipped.

    As the starter code's extractor, in float32. Sound is truncated, as VGGish's code
    does: `data.writing.records.quantize`.

    Raises ValueError if a value is not a number.
    """
    values = np.asarray(values, np.float32)
    if np.isnan(values).any():
        raise ValueError("a feature is not a number")
    scale = np.float32(255.0 / (maximum - minimum))
    levels = (np.clip(values, minimum, maximum) - np.float32(minimum)) * scale
    return np.rint(levels).astype(np.uint8)
