"""What a training step needs on any backend: networks, optimizers, averaged weights."""

import contextlib

from xctrs_tf.training.step.optimizer import trained_variables
from xctrs_tf.training.step.rematerialisation import Rematerialised

DISCRIMINATOR = "discriminator"


class BaseTrainer:
    """One optimisation step on all networks of a run; the step itself is a subclass's.

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
        self.variables = trained_variables(networks)
        self.optimizers = {"optimizer": make_optimizer()}
        self._variables = {"optimizer": self.variables}
        if DISCRIMINATOR in networks:
            self.optimizers[f"{DISCRIMINATOR}_optimizer"] = make_optimizer()
            self._variables[f"{DISCRIMINATOR}_optimizer"] = networks[
                DISCRIMINATOR
            ].trainable_variables
        for name, optimizer in self.optimizers.items():
            optimizer.build(self._variables[name])
        self.num_traces = 0
        self._learning = networks
        if remat:
            self._learning = {name: Rematerialised(net) for name, net in networks.items()}

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
