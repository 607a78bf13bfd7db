"""The training step: forward, loss, backward, update, in one tf.function."""

import contextlib

import tensorflow as tf

from xctrs_tf.training.optimizer import taught_variables
from xctrs_tf.training.rematerialisation import Rematerialised

_OPPONENT = "discriminator"
_ZERO = tf.UnconnectedGradients.ZERO


class Trainer:
    """One optimisation step on all networks of a run.

    Made in the scope of the run's `tf.distribute.Strategy`, as the networks and
    the objective before it.

    Args:
        networks: dict from name to Keras model: ``reconstruction``,
            ``segmentation``, ``discriminator``, those that learn.
        objective: `xctrs_tf.training.objective.Objective`.
        make_optimizer: function that gives a new Keras optimizer; built here, so
            that the first step is traced once and not again after the slots
            appear.
        accumulation: equal parts of a replica's batch that go through the
            networks one after another; one update follows the last.
        remat: whether features are computed again in the backward pass.

    Attributes:
        optimizers: dict of ``optimizer`` and, where there is a discriminator,
            ``discriminator_optimizer``.
        num_traces: how often the training step has been traced.
    """

    def __init__(self, networks, objective, make_optimizer, accumulation=1, remat=False):
        self.networks = networks
        self.objective = objective
        self.accumulation = accumulation
        self.variables = taught_variables(networks)
        self.optimizers = {"optimizer": make_optimizer()}
        self._variables = {"optimizer": self.variables}
        if _OPPONENT in networks:
            self.optimizers[f"{_OPPONENT}_optimizer"] = make_optimizer()
            self._variables[f"{_OPPONENT}_optimizer"] = networks[_OPPONENT].trainable_variables
        for name, optimizer in self.optimizers.items():
            optimizer.build(self._variables[name])
        self.num_traces = 0
        self._strategy = tf.distribute.get_strategy()
        self._learning = networks
        if remat:
            self._learning = {name: Rematerialised(net) for name, net in networks.items()}

    def trace(self, batch):
        """Trace `train_step`, which takes up to a minute, without running it."""
        self.train_step.get_concrete_function(batch, tf.constant(0))

    @tf.function
    def train_step(self, batch, seed):
        """Update every network once.

        Args:
            batch: dict of ``ap`` and ``la`` ``(batch, size, size, 1)``, ``ct``
                ``(batch, size, size, size, 1)``, ``segmentation`` ``(batch,
                size, size, size)`` and, where reconstructions were made before,
                ``reconstruction`` like ``ct``; the values of a distributed data
                set where there are several replicas.
            seed: int32 scalar tensor that chooses the VGG planes, the same for all
                patients of the step.

        Returns:
            Dict of float32 scalars, means over all replicas: ``loss``, each
            unweighted term and, where there is one, the ``discriminator``'s loss.
        """
        self.num_traces += 1
        scalars = self._strategy.run(self._step_of_replica, args=(batch, seed))
        return {
            name: self._strategy.experimental_local_results(value)[0]
            for name, value in scalars.items()
        }

    def _step_of_replica(self, batch, seed):
        find = self._gradients if self.accumulation == 1 else self._accumulated_gradients
        # Each is a mean over patients, and every replica has as many of them.
        gradients, scalars = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.MEAN, find(batch, seed)
        )
        for name, optimizer in self.optimizers.items():
            optimizer.apply(gradients[name], self._variables[name])
        return scalars

    def _accumulated_gradients(self, batch, seed):
        """What `_gradients` gives for the batch, from one part of it after another."""
        parts = {name: tf.stack(tf.split(x, self.accumulation)) for name, x in batch.items()}
        # Traced by itself to learn what there is to be added up. Keras's own
        # accumulation puts the update into a condition, where replicas cannot meet.
        find = tf.function(self._gradients)
        specs = find.get_concrete_function(
            {name: part[0] for name, part in parts.items()}, seed
        ).structured_outputs
        total = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)
        for index in tf.range(self.accumulation):
            # Two parts at once would need the memory of two.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            found = find({name: part[index] for name, part in parts.items()}, seed)
            total = tf.nest.map_structure(tf.add, total, found)
        return tf.nest.map_structure(lambda x: x / self.accumulation, total)

    def _gradients(self, batch, seed):
        """``(gradients, scalars)``: a dict of lists, and the dict of `train_step`."""
        optimizer = self.optimizers["optimizer"]
        with tf.GradientTape() as tape:
            loss, terms, outputs = self.objective(self._learning, batch, seed, training=True)
            # Under mixed_float16 the gradients would underflow without it.
            scaled = optimizer.scale_loss(loss)
        gradients = {"optimizer": _gradient(tape, scaled, self.variables)}
        scalars = {"loss": loss, **terms}
        if _OPPONENT in self.networks:
            name = f"{_OPPONENT}_optimizer"
            with tf.GradientTape() as tape:
                scalars[_OPPONENT] = self.objective.of_discriminator(
                    self._learning[_OPPONENT], batch, outputs["ct"]
                )
                scaled = self.optimizers[name].scale_loss(scalars[_OPPONENT])
            gradients[name] = _gradient(tape, scaled, self._variables[name])
        return gradients, scalars

    @tf.function
    def validation_step(self, batch, seed):
        """The same loss without an update.

        Args:
            batch: as for `train_step`, for one replica.
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

    @contextlib.contextmanager
    def averaged_weights(self):
        """For as long as it lasts, the networks have the averaged weights, if there are any."""
        trained = [variable.numpy() for variable in self.variables]
        try:
            # Without averages this leaves the weights alone.
            self.optimizers["optimizer"].finalize_variable_values(self.variables)
            yield
        finally:
            for variable, value in zip(self.variables, trained, strict=True):
                variable.assign(value)


def _gradient(tape, loss, variables):
    return tape.gradient(loss, [variable.value for variable in variables], None, _ZERO)
