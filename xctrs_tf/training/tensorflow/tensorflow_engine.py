"""The training engine on TensorFlow: one device, or several under `tf.distribute`."""

import contextlib

import tensorflow as tf

from xctrs_tf.data.stream.tf_data import training_pipeline
from xctrs_tf.errors import UserError, graph_error_text, memory_error_text
from xctrs_tf.training.interruption import Interrupted
from xctrs_tf.training.tensorflow.distribution import Workers, make_strategy, require_equal_parts
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer


class TensorFlowEngine:
    """A run on one device, or on the devices of one or several machines.

    Args:
        config: checked `TrainingConfig`.

    Attributes:
        workers: `Workers`.

    Raises:
        UserError: no cluster, or a batch that cannot be split into its parts.
    """

    def __init__(self, config):
        # All shapes are known when the step is traced: there is nothing to fold, and
        # looking for it delays the first step.
        tf.config.optimizer.set_experimental_options({"constant_folding": False})
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        self._strategy = make_strategy(config.strategy)
        require_equal_parts(config, self._strategy)
        self.workers = Workers(self._strategy)

    @contextlib.contextmanager
    def scope(self):
        """Context manager in which networks and optimizers of the run are created."""
        try:
            with self._strategy.scope():
                yield
        except tf.errors.OpError as error:
            # A memory that is full is this worker's own.
            if not self.workers.several or memory_error_text(error):
                raise
            raise Interrupted(
                "another worker is gone; started again on all of them, the same command goes on "
                f"from the last checkpoint ({graph_error_text(error)})"
            ) from error

    def make_trainer(self, *arguments):
        """Make a `Trainer` of these arguments."""
        return Trainer(*arguments)

    def batches(self, samples, start_step):
        """Iterate over the batches of a `SampleStream`, split among the replicas.

        Raises:
            UserError: a sample cannot be read.
        """

        def of_worker(context):
            return training_pipeline(
                samples,
                start_step,
                replicas=self._strategy.num_replicas_in_sync,
                worker=(context.input_pipeline_id, context.num_input_pipelines),
            )

        batches = iter(self._strategy.distribute_datasets_from_function(of_worker))
        while True:
            try:
                batch = next(batches)
            except tf.errors.OpError:
                if samples.error is None:
                    raise
                raise samples.error from None
            yield batch

    def events(self, workdir, descriptions):
        """Make the writer of TensorBoard events; see `Events`."""
        return Events(workdir / "logs", descriptions)


class Events:
    """Writer of TensorBoard events.

    Its methods raise UserError where the folder cannot be written.

    Args:
        folder: of the events.
        descriptions: dict from the name of a scalar to what TensorBoard says of it; None for none.
    """

    def __init__(self, folder, descriptions=None):
        self._folder, self._descriptions = folder, descriptions or {}
        with self._writing():
            self._writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, step, values):
        """Add a dict of floats at a step."""
        with self._writing():
            with self._writer.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value, description=self._descriptions.get(name))
            self._writer.flush()

    def picture(self, step, name, picture):
        """Add an array ``[row, column, 3]`` of uint8 colours."""
        with self._writing():
            with self._writer.as_default(step=step):
                tf.summary.image(name, picture[None])
            self._writer.flush()

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except tf.errors.OpError as error:
            raise UserError(
                f"{self._folder}: cannot be written: {graph_error_text(error)}"
            ) from error
