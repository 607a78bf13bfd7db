"""The optimiser of a training run."""

import keras


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
    optimizer = keras.optimizers.Adam(learning_rate, config.beta_1, config.beta_2)
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
