"""The optimizer of a training run."""

import keras

# Networks that minimise the objective; the discriminator has a loss of its own.
TRAINED = ("reconstruction", "segmentation")


class _Adam(keras.optimizers.Adam):
    """Adam for gradients that are the same on all replicas.

    Keras clips the gradients of each replica and then adds them. The training step
    averages them before, so that the norm of the whole batch is clipped and an
    infinity on one replica counts for all.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def make_optimizer(config):
    """Make Adam, with loss scaling where the precision needs it.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        Keras optimizer; a run with a discriminator makes a second one for it.

    Ge et al. (2022), Sect. 3.1.
    """
    learning_rate = config.learning_rate
    if config.schedule == "cosine":
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, config.steps)
    optimizer = _Adam(
        learning_rate,
        config.beta_1,
        config.beta_2,
        global_clipnorm=config.clip_norm or None,
        use_ema=config.ema_momentum > 0,
        ema_momentum=config.ema_momentum,
        # TensorFlow accepts no name that begins with an underscore, as the class's does.
        name="adam",
    )
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def trained_variables(networks):
    """Return the trainable variables of `TRAINED`, in the order of the optimizer's slots."""
    return [
        variable
        for name in TRAINED
        if name in networks
        for variable in networks[name].trainable_variables
    ]
