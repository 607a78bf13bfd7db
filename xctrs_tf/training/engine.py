"""The part of a run that depends on the backend of Keras: TensorFlow or JAX."""

import keras

from xctrs_tf.errors import UserError


def make_engine(config):
    """Make the engine of a run, before anything else is computed.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        `TensorFlowEngine` or `JaxEngine`, which have the same methods.

    Raises:
        UserError: settings that the backend does not support.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from xctrs_tf.training.tensorflow.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine(config)
    if backend == "jax":
        from xctrs_tf.training.jax.jax_engine import JaxEngine

        return JaxEngine(config)
    raise UserError(f"KERAS_BACKEND={backend}: training needs tensorflow or jax")
