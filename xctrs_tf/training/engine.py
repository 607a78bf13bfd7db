"""What a run takes from TensorFlow or from JAX, whichever Keras runs on."""

import contextlib

import keras

from xctrs_tf.errors import UserError


def make_engine(config):
    """The engine of a run; make it before anything else is computed.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        `TensorFlowEngine` or `JaxEngine`, which have the same methods.

    Raises:
        UserError: settings that the backend does not have.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from xctrs_tf.training.tensorflow.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine(config)
    if backend != "jax":
        raise UserError(f"KERAS_BACKEND={backend}: training needs tensorflow or jax")
    return JaxEngine(config)


class JaxEngine:
    """One JAX device.

    Args:
        config: checked `TrainingConfig`.

    Attributes:
        workers: what the machines of a run agree on; here there is one.
    """

    def __init__(self, config):
        if config.strategy != "single":
            raise UserError(
                f"--strategy={config.strategy}: KERAS_BACKEND=jax trains on one device; leave "
                "it out, or take TensorFlow"
            )
        if config.batch_size % config.accumulation:
            raise UserError(
                f"--batch_size={config.batch_size}: must be a multiple of "
                f"--accumulation={config.accumulation}"
            )
        self.workers = OneWorker()

    def scope(self):
        """Context in which everything of the run is made."""
        return contextlib.nullcontext()

    def make_trainer(self, *arguments):
        """`JaxTrainer` of these arguments."""
        from xctrs_tf.training.jax.jax_trainer import JaxTrainer

        return JaxTrainer(*arguments)

    def batches(self, samples, start_step):
        """Iterator over the batches of a `SampleStream`."""
        from xctrs_tf.data.stream.numpy_batches import numpy_batches

        return numpy_batches(samples, start_step)

    def events(self, workdir):
        """TensorBoard is TensorFlow's; there is history.jsonl."""
        return None


class OneWorker:
    """`xctrs_tf.training.tensorflow.distribution.Workers` of a run on one machine."""

    several = False
    writes = True

    def any(self, *flags):
        """The flags themselves."""
        return flags

    def alike(self, number):
        """Always."""
        return True

    def wait(self):
        """Nobody."""
