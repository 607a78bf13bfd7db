"""The optimizer of a training run."""

import keras
from keras import ops

# Of the schedule ``polynomial``, as Caffe's "poly" is mostly used.
POWER = 0.9
# Networks that minimise the objective; the discriminator has a loss of its own.
TRAINED = ("reconstruction", "segmentation")
# Methods of Keras's own that are overridden or called below. Without them an update would be a
# wrong one.
_OVERRIDDEN = ["_backend_update_step", "_get_variable_index"]
if keras.backend.backend() == "tensorflow":
    _OVERRIDDEN.append("_all_reduce_sum_gradients")
if missing := [name for name in _OVERRIDDEN if not hasattr(keras.optimizers.Adam, name)]:
    raise ImportError(
        f"Keras {keras.__version__} has no {', '.join(missing)} in its optimizers any more: take "
        "an earlier version"
    )


class _LocalUpdateWithL2:
    """Optimizer that exchanges no gradients between replicas, with an L2 penalty.

    Keras clips the gradients of each replica and then adds them. The training step
    averages them before, so that the norm of the whole batch is clipped and an
    infinity on one replica counts for all.

    Keras's own weight decay reduces the weights themselves (AdamW). Here it is part of
    the gradient, after clipping, as the Adam of PyTorch and the SGD of Caffe have it.

    Args:
        *args: of the Keras optimizer.
        l2: this number times the weight is added to each weight's gradient.
        **kwargs: of the Keras optimizer.
    """

    def __init__(self, *args, l2=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if self.l2:
            pairs = zip(grads, trainable_variables, strict=True)
            grads = [gradient + self.l2 * ops.convert_to_tensor(v) for gradient, v in pairs]
        super()._backend_update_step(grads, trainable_variables, learning_rate)


class _SGD(_LocalUpdateWithL2, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum."""


class _Adam(_LocalUpdateWithL2, keras.optimizers.Adam):
    """Adam."""


class _FusedUpdate:
    """Update of Adam by one TensorFlow operation for a variable, where Keras has about 30.

    The arithmetic is the same. The hundreds of small variables of the networks make a
    third fewer operations in the training step, which is traced and optimised sooner.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        import tensorflow as tf

        step = ops.cast(self.iterations + 1, "float32")
        correction = ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        # Tensors, since every operation would make its own of a number.
        settings = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        settings |= {"beta1_power": 0.0, "beta2_power": 0.0}
        self._settings = {name: tf.constant(value) for name, value in settings.items()}
        super()._backend_update_step(grads, trainable_variables, learning_rate * correction)

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable; the learning rate has the correction of Adam's means."""
        import tensorflow as tf

        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            **self._settings,
        )


class _FusedAdam(_FusedUpdate, _Adam):
    """Adam on TensorFlow."""


class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that is constant for half of the steps, then falls linearly to 0.

    It is that of X2CT-GAN's published program, which counts epochs, 50 and 50, where
    this counts steps. The program lowers the rate after an epoch, by 1/51 of the first
    rate each, from the end of epoch 49 on, so that its last epoch has the rate 0. The two
    differ by at most 4 % of the first rate.

    Args:
        initial_learning_rate: that of the first half.
        steps: steps of the run.
    """

    def __init__(self, initial_learning_rate, steps):
        self.initial_learning_rate = initial_learning_rate
        self.steps = steps

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        left = 1.0 - ops.cast(step, "float32") / self.steps
        return self.initial_learning_rate * ops.clip(2.0 * left, 0.0, 1.0)

    def get_config(self):
        """Return the arguments that make it again."""
        return {"initial_learning_rate": self.initial_learning_rate, "steps": self.steps}


def make_optimizer(config):
    """Make the optimizer, with loss scaling where the precision needs it.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        Keras optimizer; a run with a discriminator makes a second one for it.

    Ge et al. (2022), Sect. 3.1.
    """
    common = {
        "l2": config.weight_decay,
        "global_clipnorm": config.clip_norm or None,
        "use_ema": config.ema_momentum > 0,
        "ema_momentum": config.ema_momentum,
        # TensorFlow accepts no name that begins with an underscore, as the class's does.
        "name": config.optimizer,
    }
    if config.optimizer == "sgd":
        optimizer = _SGD(_learning_rate(config), config.momentum, **common)
    else:
        adam = _FusedAdam if keras.backend.backend() == "tensorflow" else _Adam
        optimizer = adam(_learning_rate(config), config.beta_1, config.beta_2, **common)
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _learning_rate(config):
    """Return the learning rate, or its schedule over the steps of the run."""
    schedules = keras.optimizers.schedules
    rate, steps = config.learning_rate, config.steps
    if config.schedule == "cosine":
        return schedules.CosineDecay(rate, steps)
    if config.schedule == "constant_linear":
        return ConstantThenLinear(rate, steps)
    if config.schedule == "polynomial":
        return schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0, power=POWER)
    return rate


def trained_variables(networks):
    """Return the trainable variables of `TRAINED`, in the order of the optimizer's slots."""
    return [
        variable
        for name in TRAINED
        if name in networks
        for variable in networks[name].trainable_variables
    ]
