"""The training step on TensorFlow, as one `tf.function`."""

import tensorflow as tf

from xctrs_tf.layers.kernels import compiled_kernels
from xctrs_tf.training.step.base_trainer import DISCRIMINATOR, BaseTrainer, split_shared
from xctrs_tf.training.tensorflow.convolution import convolve
from xctrs_tf.training.tensorflow.kernel_compiler import KernelCompiler
from xctrs_tf.training.tensorflow.trace_progress import TraceProgress

_ZERO = tf.UnconnectedGradients.ZERO


class Trainer(BaseTrainer):
    """The training step on TensorFlow, on all replicas.

    Create it in the scope of the run's `tf.distribute.Strategy`, as the networks and
    the objective. Arguments and attributes are those of `BaseTrainer`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._strategy = tf.distribute.get_strategy()
        # Not measured on a GPU.
        on_cpu = not tf.config.list_logical_devices("GPU")
        self._kernels = (KernelCompiler(), convolve) if on_cpu else (None, None)
        self._tracing = TraceProgress(sum(map(len, self._variables.values())))

    def trace(self, batch):
        """Trace `train_step`, which takes up to a minute, without running it."""
        self.train_step.get_concrete_function(batch, tf.constant(0))

    def seconds_left_to_trace(self):
        """Return the seconds until `trace`, running in another thread, ends, or None."""
        # Each replica, and with --remat each stage, is traced anew; that is not counted.
        is_counted = self._strategy.num_replicas_in_sync == 1 and self._learning is self.networks
        return self._tracing.seconds_left() if is_counted else None

    @tf.function
    def train_step(self, batch, step):
        """Update every network once.

        Args:
            batch: dict of ``ap`` and ``la`` ``(batch, size, size, 1)``, ``ct``
                ``(batch, size, size, size, 1)``, ``segmentation`` ``(batch,
                size, size, size)``; ``reconstruction`` like ``ct`` where it was
                made before; ``vgg_planes`` ``(3, slices)`` where the VGG loss
                takes a subset. With several replicas, the values of a distributed
                data set.
            step: int32 scalar tensor, the number of the step.

        Returns:
            Dict of float32 scalars, means over all replicas: ``loss``, each
            unweighted term and, where there is one, the ``discriminator``'s loss.
        """
        self.num_traces += 1
        scalars = self._strategy.run(self._step_of_replica, args=(batch, step))
        return {
            name: self._strategy.experimental_local_results(value)[0]
            for name, value in scalars.items()
        }

    def _step_of_replica(self, batch, step):
        compute = self._gradients if self.accumulation == 1 else self._accumulated_gradients
        # Means over patients, of whom every replica has the same number.
        with compiled_kernels(*self._kernels):
            gradients, scalars = compute(batch, step)
        if self._strategy.num_replicas_in_sync > 1:
            gradients, scalars = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.MEAN, (gradients, scalars)
            )
        # Explicit dependency: the graph optimizer may drop the automatic ordering, and the
        # generator's gradient could then read a discriminator that is already updated.
        computed = tf.group(*tf.nest.flatten((gradients, scalars)))
        with tf.control_dependencies([computed]):
            self._tracing.begin_updates()
            for name, optimizer in self.optimizers.items():
                optimizer.apply(gradients[name], self._variables[name])
        return scalars

    def _accumulated_gradients(self, batch, step):
        """Return the mean of `_gradients` over the parts of the batch."""
        patients, shared = split_shared(batch)
        parts = {name: tf.stack(tf.split(x, self.accumulation)) for name, x in patients.items()}

        def part_of_batch(index):
            return {**shared, **{name: part[index] for name, part in parts.items()}}

        # Traced separately to get the structure of the sum. Keras's own accumulation
        # updates inside a condition, in which replicas cannot exchange gradients.
        compute = tf.function(self._gradients)
        specs = compute.get_concrete_function(part_of_batch(0), step).structured_outputs
        total = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)
        for index in tf.range(self.accumulation):
            # Parts that run at the same time would need memory for each.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            part = compute(part_of_batch(index), step)
            total = tf.nest.map_structure(tf.add, total, part)
        return tf.nest.map_structure(lambda x: x / self.accumulation, total)

    # Nothing in it branches on a tensor, and AutoGraph takes a sixth of the time of tracing.
    @tf.autograph.experimental.do_not_convert
    def _gradients(self, batch, step):
        """Return ``(gradients, scalars)``: a dict of lists, and the dict of `train_step`."""
        optimizer = self.optimizers["optimizer"]
        self._tracing.begin_passes()
        with tf.GradientTape() as tape:
            loss, terms, outputs = self.objective(self._learning, batch, step, training=True)
            # Without it the gradients would underflow under mixed_float16.
            scaled = optimizer.scale_loss(loss)
        gradients = {"optimizer": _gradient(tape, scaled, self.variables)}
        scalars = {"loss": loss, **terms}
        if DISCRIMINATOR in self.networks:
            name = f"{DISCRIMINATOR}_optimizer"
            with tf.GradientTape() as tape:
                scalars[DISCRIMINATOR] = self.objective.of_discriminator(
                    self._learning[DISCRIMINATOR], batch, outputs["ct"]
                )
                scaled = self.optimizers[name].scale_loss(scalars[DISCRIMINATOR])
            gradients[name] = _gradient(tape, scaled, self._variables[name])
        return gradients, scalars

    @tf.function
    def validation_step(self, batch):
        """Compute the loss without an update.

        Args:
            batch: as for `train_step`, for one replica.

        Returns:
            ``(scalars, ct, labels)``: the dict of `train_step`, the CT
            ``(batch, x, y, z, 1)``, and uint8 labels ``(batch, x, y, z)`` or
            None.
        """
        loss, terms, outputs = self.objective(self.networks, batch, None, training=False)
        labels = None
        if "segmentation" in outputs:
            labels = tf.cast(tf.argmax(outputs["segmentation"], axis=-1), tf.uint8)
        return {"loss": loss, **terms}, outputs["ct"], labels


def _gradient(tape, loss, variables):
    return tape.gradient(loss, [variable.value for variable in variables], None, _ZERO)
