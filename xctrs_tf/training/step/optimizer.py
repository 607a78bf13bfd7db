"""The optimiser of a training run."""

import keras

# Networks that the objective's loss teaches; a discriminator opposes it.
TRAINED = ("reconstruction", "segmentation")


class _Adam(keras.optimizers.Adam):
    """Adam for gradients that are the same on all replicas.

    Keras clips each replica's gradients by themselves and then adds them up. The
    training step averages them first: only so does the norm of the whole batch
    count, and a replica's infinity for all.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def make_optimizer(config):
    """Adam (Sect. 3.1), with loss scaling where the precision needs it.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        Keras optimizer; a run with a discriminator makes one for each side.
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
        # The class's own name would begin with what TensorFlow takes for no name.
        name="adam",
    )
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def trained_variables(networks):
    """The trainable variables of `TRAINED`, in the order of the optimizer's slots."""
    return [
        variable
        for name in TRAINED
        if name in networks
        for variable in networks[name].trainable_variables
    ]
