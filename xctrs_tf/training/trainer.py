"""The training step: forward, loss, backward, update, in one tf.function."""

import tensorflow as tf

# Networks that the objective's loss teaches, and the one that opposes it.
TAUGHT = ("reconstruction", "segmentation")
_OPPONENT = "discriminator"


class Trainer:
    """One optimisation step on all networks of a run.

    Args:
        networks: dict from name to Keras model: ``reconstruction``,
            ``segmentation``, ``discriminator``, those that learn.
        objective: `xctrs_tf.training.objective.Objective`.
        make_optimizer: function that gives a new Keras optimizer; built here, so
            that the first step is traced once and not again after the slots
            appear.

    Attributes:
        optimizers: dict of ``optimizer`` and, where there is a discriminator,
            ``discriminator_optimizer``.
        num_traces: how often the training step has been traced.
    """

    def __init__(self, networks, objective, make_optimizer):
        self.networks = networks
        self.objective = objective
        self.variables = [
            variable
            for name in TAUGHT
            if name in networks
            for variable in networks[name].trainable_variables
        ]
        self.optimizers = {"optimizer": make_optimizer()}
        self.optimizers["optimizer"].build(self.variables)
        if _OPPONENT in networks:
            optimizer = make_optimizer()
            optimizer.build(networks[_OPPONENT].trainable_variables)
            self.optimizers[f"{_OPPONENT}_optimizer"] = optimizer
        self.num_traces = 0

    @tf.function
    def train_step(self, batch, seed):
        """Update every network once; a discriminator after the generator.

        Args:
            batch: dict of ``ap`` and ``la`` ``(batch, size, size, 1)``, ``ct``
                ``(batch, size, size, size, 1)``, ``segmentation`` ``(batch,
                size, size, size)`` and, where reconstructions were made before,
                ``reconstruction`` like ``ct``.
            seed: int32 scalar tensor that chooses the VGG planes.

        Returns:
            Dict of float32 scalars: ``loss``, each unweighted term and, where
            there is one, the ``discriminator``'s loss.
        """
        self.num_traces += 1
        optimizer = self.optimizers["optimizer"]
        with tf.GradientTape() as tape:
            loss, terms, outputs = self.objective(self.networks, batch, seed, training=True)
            # Under mixed_float16 the gradients would underflow without it.
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, self.variables), self.variables)
        scalars = {"loss": loss, **terms}
        if _OPPONENT in self.networks:
            scalars[_OPPONENT] = self._teach_discriminator(batch, outputs["ct"])
        return scalars

    def _teach_discriminator(self, batch, ct):
        discriminator = self.networks[_OPPONENT]
        optimizer = self.optimizers[f"{_OPPONENT}_optimizer"]
        with tf.GradientTape() as tape:
            loss = self.objective.of_discriminator(discriminator, batch, ct)
            scaled = optimizer.scale_loss(loss)
        variables = discriminator.trainable_variables
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss

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
        loss, terms, outputs = self.objective(self.networks, batch, seed, training=False)
        labels = None
        if "segmentation" in outputs:
            labels = tf.cast(tf.argmax(outputs["segmentation"], axis=-1), tf.uint8)
        return {"loss": loss, **terms}, outputs["ct"], labels
