"""Base of the training step: networks, optimizers and averaged weights."""

import contextlib

from xctrs_tf.training.step.optimizer import trained_variables
from xctrs_tf.training.step.rematerialisation import Rematerialised

DISCRIMINATOR = "discriminator"
# Arrays of a batch that all its patients share.
_SHARED = ("vgg_planes",)


class BaseTrainer:
    """One optimisation step on all networks of a run; subclasses implement the step.

    Args:
        networks: dict from name to Keras model: ``reconstruction``,
            ``segmentation``, ``discriminator``, those that are trained.
        objective: `xctrs_tf.training.objective.Objective`.
        make_optimizer: function that returns a new Keras optimizer. It is built
            here, so that the step is not traced again after the first update.
        accumulation: equal parts of a replica's batch that go through the
            networks one after another; one update follows the last.
        remat: compute features again in the backward pass.

    Attributes:
        optimizers: dict of ``optimizer`` and, where there is a discriminator,
            ``discriminator_optimizer``.
        num_traces: number of times that the training step has been traced.
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

    def seconds_left_to_trace(self):
        """Return None: how long the trace of the step still takes is unknown."""
        return

    @contextlib.contextmanager
    def averaged_weights(self):
        """Context manager in which the networks have the averaged weights, if there are any."""
        trained = [variable.numpy() for variable in self.variables]
        try:
            # Without averages this leaves the weights alone.
            self.optimizers["optimizer"].finalize_variable_values(self.variables)
            yield
        finally:
            for variable, value in zip(self.variables, trained, strict=True):
                variable.assign(value)


def split_shared(batch):
    """Split a batch.

    Args:
        batch: dict of arrays.

    Returns:
        ``(patients, shared)``: dict of the arrays whose first axis is the patient,
        and dict of those that all patients share.
    """
    patients = {name: array for name, array in batch.items() if name not in _SHARED}
    return patients, {name: batch[name] for name in _SHARED if name in batch}
