"""TensorBoard events of a run."""

import tensorflow as tf


class Events:
    """Writer of scalars and pictures.

    Args:
        folder: of the events.
    """

    def __init__(self, folder):
        self._writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, step, values):
        """Add a dict of floats at a step."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def picture(self, step, name, picture):
        """Add an array ``[row, column]`` in [0, 1]."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None, ..., None])
        self._writer.flush()
