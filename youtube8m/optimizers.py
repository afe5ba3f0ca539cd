"""Optimizers by TF1's names (with TF1's defaults) and by Keras' names.

optimizer = create("AdamOptimizer", learning_rate=0.01)
"""

import inspect

import keras
from keras import ops

from youtube8m.compat import variable_index
from youtube8m.errors import UserError, unknown_name
from youtube8m.registry import PACKAGE


def slot_variables(optimizer: keras.Optimizer, name: str) -> list[keras.Variable]:
    """What a built optimizer keeps of each trainable variable, in their order.

    `name` is momentum or velocity of Adam, or average of any with --ema_decay.
    """
    return [v for v in optimizer.variables if v.path.endswith(f"_{name}")]


@keras.saving.register_keras_serializable(PACKAGE)
class RMSPropFromOnes(keras.optimizers.RMSprop):
    """RMSProp whose mean of squared gradients starts at one, as in TF1.

    In Keras it starts at zero, which makes the first steps about three times as long.
    """

    def build(self, variables):
        super().build(variables)
        for velocity in slot_variables(self, "velocity"):
            velocity.assign(ops.ones_like(velocity))


@keras.saving.register_keras_serializable(PACKAGE)
class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam with one operation per variable, which saves a dozen passes over it.

    Gradients of some rows alone are filled up with zeros. On other backends than
    TensorFlow it runs Keras' operations.
    """

    def update_step(self, gradient, variable, learning_rate):
        if keras.backend.backend() != "tensorflow":
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf  # the one backend that has the operation

        index = variable_index(self, variable)
        momentum, velocity = (
            slot_variables(self, name)[index].value.handle
            for name in ("momentum", "velocity")
        )
        step = ops.cast(self.iterations + 1, variable.dtype)
        return tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum,
            v=velocity,
            beta1_power=ops.power(ops.cast(self.beta_1, variable.dtype), step),
            beta2_power=ops.power(ops.cast(self.beta_2, variable.dtype), step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, variable.dtype),
        )


# TF1's name -> Keras' class, and the defaults of TF1 that differ from Keras.
_TF1 = {
    "AdadeltaOptimizer": (keras.optimizers.Adadelta, {"epsilon": 1e-8}),
    "AdagradOptimizer": (keras.optimizers.Adagrad, {"epsilon": 0.0}),
    "AdamOptimizer": (FusedAdam, {"epsilon": 1e-8}),
    "FtrlOptimizer": (keras.optimizers.Ftrl, {}),
    "GradientDescentOptimizer": (keras.optimizers.SGD, {}),
    "MomentumOptimizer": (keras.optimizers.SGD, {"momentum": 0.9}),
    "RMSPropOptimizer": (RMSPropFromOnes, {"rho": 0.9, "epsilon": 1e-10}),
}


def list_names() -> list[str]:
    """All names that `create` knows."""
    keras_names = {
        name
        for name, value in vars(keras.optimizers).items()
        if inspect.isclass(value) and issubclass(value, keras.Optimizer)
    } - {"Optimizer", "LossScaleOptimizer"}
    return sorted(keras_names | _TF1.keys())


def create(
    name: str, learning_rate: float, ema_decay: float = 0.0, scales_loss: bool = False
) -> keras.Optimizer:
    """Builds the optimizer called `name`.

    The starter code gave TF1's MomentumOptimizer no momentum, so it could not be built;
    here its momentum is 0.9.

    Args:
      ema_decay: decay of the moving average of the weights; 0 for no average.
      scales_loss: scale the loss, so that the gradients of float16 do not vanish. Steps
        whose gradients are not finite are then skipped, and halve the scale.

    Raises UserError for an unknown name.
    """
    if scales_loss:
        inner = create(name, learning_rate, ema_decay)
        return keras.optimizers.LossScaleOptimizer(inner)
    values = {"learning_rate": learning_rate}
    if ema_decay:
        values |= {"use_ema": True, "ema_momentum": ema_decay}
    if name in _TF1:
        cls, defaults = _TF1[name]
        return cls(**values, **defaults)
    if name not in list_names():
        raise unknown_name("--optimizer", name, list_names())
    try:
        return getattr(keras.optimizers, name)(**values)
    except TypeError as error:
        raise UserError(f"--optimizer={name}: cannot be used alone ({error})") from None
