"""Parts of a model that XLA compiles where TensorFlow runs on a CPU.

    @compiled
    def scaled(x, factors): ...

    y = scaled(x, factors) if pays(x.shape[-1]) else plain(x, factors)

TensorFlow runs one operation after the other, and each reads and writes memory. XLA
makes one loop of several. Of a whole step it would make the matrix products slower, so
only parts are compiled: once for each shape of their inputs.
"""

import contextlib
import functools

import keras

_LEAST_SIZE = 256  # of the last axis; compiling for less takes longer than it saves
_portable: list[bool] = []


@contextlib.contextmanager
def portable_graphs():
    """Graphs that are traced within it run where TensorFlow has no XLA, too."""
    _portable.append(True)
    try:
        yield
    finally:
        _portable.pop()


def pays(size: int) -> bool:
    """Whether to compile a function of arrays [..., size], in the graph being traced.

    On GPUs separate operations take little time, and XLA needs parts of CUDA that may
    not be there.
    """
    if keras.backend.backend() != "tensorflow" or _portable or size < _LEAST_SIZE:
        return False
    import tensorflow as tf  # the one backend that compiles a part of its graph

    return not (tf.executing_eagerly() or tf.config.list_logical_devices("GPU"))


def compiled(function):
    """The function, compiled where the backend is TensorFlow."""

    @functools.cache
    def jitted():
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments):
        is_tensorflow = keras.backend.backend() == "tensorflow"
        return (jitted() if is_tensorflow else function)(*arguments)

    return call


def compiled_with_gradient(function):
    """As `compiled`, of floats and to floats, with a gradient that is compiled, too.

    The gradient computes the function again: cheaper than to keep what is in between.
    It is TensorFlow's alone.
    """

    def gradient(upstream, *arguments):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(arguments)
            result = function(*arguments)
        return tape.gradient(result, arguments, upstream)

    forward, backward = compiled(function), compiled(gradient)

    def call(*arguments):
        import tensorflow as tf

        @tf.custom_gradient
        def run(*arguments):
            return forward(*arguments), lambda upstream: backward(upstream, *arguments)

        return run(*arguments)

    return call
