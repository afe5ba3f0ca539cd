"""Memory that the arrays of batches use again."""

import weakref

import numpy as np

_ALIGNMENT = 64  # bytes; TensorFlow takes over aligned arrays without a copy


class BufferPool:
    """Lends memory to the arrays of batches, and gets it back when they are gone.

    The system takes long to map and clear new memory: docs/input.md has the figures.
    """

    def __init__(self):
        self._unused: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An uninitialised array whose first byte lies at a multiple of 64."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            buffer = self._unused.pop()
        except IndexError:
            buffer = np.empty(0, np.uint8)
        if buffer.nbytes < size + _ALIGNMENT:
            buffer = np.empty(size + _ALIGNMENT, np.uint8)
        loan = _Loan(buffer)
        weakref.finalize(loan, self._unused.append, buffer).atexit = False
        start = -buffer.ctypes.data % _ALIGNMENT
        return np.asarray(loan)[start : start + size].view(dtype).reshape(shape)


class _Loan:
    """What all views of a lent buffer refer to, and tensors that took it over."""

    def __init__(self, buffer: np.ndarray):
        self.__array_interface__ = buffer.__array_interface__
