"""The training engine on JAX: one device, one machine."""

import contextlib
import os

from xctrs_tf.data.stream.numpy_batches import numpy_batches
from xctrs_tf.errors import UserError
from xctrs_tf.provenance import accelerators
from xctrs_tf.training.jax.jax_trainer import JaxTrainer

_DETERMINISTIC = "--xla_gpu_deterministic_ops"


class JaxEngine:
    """A run on one JAX device.

    Args:
        config: checked `TrainingConfig`.

    Attributes:
        workers: `OneWorker`.

    Raises:
        UserError: several devices, a batch that cannot be split into its parts, or
            reproducible results asked for that the environment does not give.
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
        asked = _DETERMINISTIC in os.environ.get("XLA_FLAGS", "")
        if config.deterministic and accelerators() and not asked:
            raise UserError(
                f"--deterministic: on a GPU JAX needs XLA_FLAGS={_DETERMINISTIC}=true in the "
                "environment; set it, or leave the flag out"
            )
        self.workers = OneWorker()

    def scope(self):
        """Context in which networks and optimizers of the run are created."""
        return contextlib.nullcontext()

    def make_trainer(self, *arguments):
        """Make a `JaxTrainer` of these arguments."""
        return JaxTrainer(*arguments)

    def batches(self, samples, start_step):
        """Iterate over the batches of a `SampleStream`."""
        return numpy_batches(samples, start_step)

    def events(self, workdir, descriptions):
        """Return None: TensorBoard events need TensorFlow; history.jsonl has the same scalars."""
        del workdir, descriptions


class OneWorker:
    """The only worker of a run; same methods as `distribution.Workers`.

    Attributes:
        several: False.
        writes: True, since no other worker writes the run folder.
    """

    several = False
    writes = True

    def any(self, *flags):
        """Return the flags."""
        return flags

    def alike(self, number):
        """Return True: there is no other worker to differ from."""
        del number
        return True

    def wait(self):
        """No-op: there is only one worker."""
