"""The training step: forward, loss, backward, update, in one tf.function."""

import tensorflow as tf


class Trainer:
    """One optimisation step on both networks.

    Args:
        reconstruction: Keras model from films to CT.
        segmentation: Keras model from CT to probabilities, or None where the
            objective has no term for it.
        objective: `xctrs_tf.training.objective.Objective`.
        optimizer: Keras optimizer; built here, so that the first step is
            traced once and not again after the slots appear.

    Attributes:
        num_traces: how often the training step has been traced.
    """

    def __init__(self, reconstruction, segmentation, objective, optimizer):
        self.reconstruction = reconstruction
        self.segmentation = segmentation
        self.objective = objective
        self.optimizer = optimizer
        self.variables = list(reconstruction.trainable_variables)
        if objective.uses_segmentation:
            self.variables += segmentation.trainable_variables
        optimizer.build(self.variables)
        self.num_traces = 0

    @tf.function
    def train_step(self, batch, seed):
        """Update both networks once.

        Args:
            batch: dict of ``ap`` and ``la`` ``(batch, size, size, 1)``, ``ct``
                ``(batch, size, size, size, 1)`` and ``segmentation`` ``(batch,
                size, size, size)``.
            seed: int32 scalar tensor that chooses the VGG planes.

        Returns:
            Dict of float32 scalars: ``loss`` and each unweighted term.
        """
        self.num_traces += 1
        with tf.GradientTape() as tape:
            loss, terms, _ = self.objective(
                self.reconstruction, self.segmentation, batch, seed, training=True
            )
            # Under mixed_float16 the gradients would underflow without it.
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.variables)
        self.optimizer.apply(gradients, self.variables)
        return {"loss": loss, **terms}

    @tf.function
    def validation_step(self, batch, seed):
        """The same loss without an update.

        Args:
            batch: as for `train_step`.
            seed: as for `train_step`.

        Returns:
            ``(scalars, ct, labels)``: the dict of `train_step`, the CT
            ``(batch, x, y, z, 1)``, and uint8 labels ``(batch, x, y, z)`` or
            None.
        """
        loss, terms, outputs = self.objective(
            self.reconstruction, self.segmentation, batch, seed, training=False
        )
        labels = None
        if "segmentation" in outputs:
            labels = tf.cast(tf.argmax(outputs["segmentation"], axis=-1), tf.uint8)
        return {"loss": loss, **terms}, outputs["ct"], labels
