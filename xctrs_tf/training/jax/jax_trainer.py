"""The training step on JAX."""

import jax
import jax.numpy as jnp
import keras

from xctrs_tf.training.step.base_trainer import DISCRIMINATOR, BaseTrainer, split_shared


class JaxTrainer(BaseTrainer):
    """The training step on one JAX device, with the results of the one on TensorFlow.

    Arguments and attributes are those of `BaseTrainer`. After every step the new
    values are in the variables of the networks and optimizers, from which checkpoints
    are saved as on TensorFlow.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._state = [v for net in self.networks.values() for v in net.non_trainable_variables]
        self._step = jax.jit(self._pure_step, donate_argnums=0)
        self._validate = jax.jit(self._pure_validation)

    def trace(self, batch):
        """Compile `train_step` without running it."""
        self._step.lower(self._values(), batch, 0).compile()

    def train_step(self, batch, step):
        """Update every network once.

        Args:
            batch: dict of arrays, as for `Trainer.train_step`.
            step: number of the step.

        Returns:
            Dict of float32 scalars.
        """
        values, scalars = self._step(self._values(), batch, int(step))
        for name, variables in self._all_variables().items():
            for variable, value in zip(variables, values[name], strict=True):
                variable.assign(value)
        return scalars

    def validation_step(self, batch):
        """Compute the loss without an update; returns what `Trainer.validation_step` does."""
        return self._validate(self._values(), batch)

    def _all_variables(self):
        """Return every variable that a step may change, by its owner."""
        slots = {f"{name}/slots": opt.variables for name, opt in self.optimizers.items()}
        return {**self._variables, **slots, "state": self._state}

    def _values(self):
        return {name: [v.value for v in owned] for name, owned in self._all_variables().items()}

    def _scope(self, values, names):
        """Return a scope in which the networks compute with these values."""
        owned = self._all_variables()
        pairs = [pair for name in names for pair in zip(owned[name], values[name], strict=True)]
        return keras.StatelessScope(state_mapping=pairs)

    def _pure_step(self, values, batch, step):
        self.num_traces += 1
        gradients, scalars, state = self._gradients(values, batch, step)
        values = {**values, "state": state}
        for name, optimizer in self.optimizers.items():
            values[name], values[f"{name}/slots"] = optimizer.stateless_apply(
                values[f"{name}/slots"], gradients[name], values[name]
            )
        return values, scalars

    def _gradients(self, values, batch, step):
        """Return means over the parts of the batch, ``(gradients, scalars, last state)``."""
        patients, shared = split_shared(batch)
        parts = {
            name: jnp.reshape(x, (self.accumulation, -1, *x.shape[1:]))
            for name, x in patients.items()
        }

        def add_part(state, part):
            found, scalars, state = self._gradients_of_part(
                {**values, "state": state}, {**part, **shared}, step
            )
            return state, (found, scalars)

        # Parts that run at the same time would need memory for each.
        state, found = jax.lax.scan(add_part, values["state"], parts)
        gradients, scalars = jax.tree.map(lambda x: jnp.mean(x, axis=0), found)
        return gradients, scalars, state

    def _gradients_of_part(self, values, batch, step):
        (_, (scalars, ct, state)), found = jax.value_and_grad(self._loss, has_aux=True)(
            values["optimizer"], values, batch, step
        )
        gradients = {"optimizer": found}
        if DISCRIMINATOR in self.networks:
            name = f"{DISCRIMINATOR}_optimizer"
            (_, (scalars[DISCRIMINATOR], state)), gradients[name] = jax.value_and_grad(
                self._loss_of_discriminator, has_aux=True
            )(values[name], {**values, "state": state}, batch, ct)
        return gradients, scalars, state

    def _loss(self, trained, values, batch, step):
        values = {**values, "optimizer": trained}
        with self._scope(values, values) as scope:
            loss, terms, outputs = self.objective(self._learning, batch, step, training=True)
            scaled = self.optimizers["optimizer"].scale_loss(loss)
        return scaled, ({"loss": loss, **terms}, outputs["ct"], self._state_after(scope, values))

    def _loss_of_discriminator(self, discriminator, values, batch, ct):
        name = f"{DISCRIMINATOR}_optimizer"
        values = {**values, name: discriminator}
        with self._scope(values, values) as scope:
            loss = self.objective.of_discriminator(self._learning[DISCRIMINATOR], batch, ct)
            scaled = self.optimizers[name].scale_loss(loss)
        return scaled, (loss, self._state_after(scope, values))

    def _state_after(self, scope, values):
        """Return the new state of batch normalisation and dropout."""
        pairs = zip(self._state, values["state"], strict=True)
        found = [(scope.get_current_value(variable), value) for variable, value in pairs]
        return [value if new is None else new for new, value in found]

    def _pure_validation(self, values, batch):
        with self._scope(values, values):
            loss, terms, outputs = self.objective(self.networks, batch, None, training=False)
        labels = None
        if "segmentation" in outputs:
            labels = jnp.argmax(outputs["segmentation"], axis=-1).astype("uint8")
        return {"loss": loss, **terms}, outputs["ct"], labels
