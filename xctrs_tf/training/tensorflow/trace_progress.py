"""Progress of tracing a training step, and the time that is left."""

import time

import tensorflow as tf

# TensorFlow's scope of the operations that compute gradients.
_BACKWARD = "gradient_tape/"
# Shares of either pass, with several operations for a variable, and of the updates, with one.
_PASS, _UPDATES = 0.4, 0.2
# Below this share the rest cannot be told.
_LEAST_SHARE = 0.1


class TraceProgress:
    """Progress of tracing a training step, which another thread may ask for.

    It has three parts: the forward pass, by the variables that it has read; the backward
    pass, which counts as much, by the place in the forward pass that it has come back to;
    the updates, which count half as much, by the variables that have one.

    Args:
        num_variables: number of variables that the step updates.
    """

    def __init__(self, num_variables):
        self._num_variables = num_variables
        self._passes = self._updates = self._began = None

    def begin_passes(self):
        """Call this in the graph of the forward and backward pass, before them."""
        self._began = time.monotonic()
        self._passes = tf.compat.v1.get_default_graph()

    def begin_updates(self):
        """Call this in the graph of the updates, before them."""
        self._updates = tf.compat.v1.get_default_graph()

    def seconds_left(self):
        """Return the seconds that the rest takes, in proportion; None while that is unknown."""
        share = self.share()
        if not _LEAST_SHARE <= share < 1:
            return None
        return (time.monotonic() - self._began) * (1 / share - 1)

    def share(self):
        """Return the share that is done, from 0 to 1."""
        if self._passes is None:
            return 0.0
        if self._updates is None:
            return _PASS * self._of_passes(self._passes.get_operations())
        updated = self._part("ResourceApply", self._updates.get_operations())
        return 2 * _PASS + _UPDATES * updated

    def _of_passes(self, operations):
        names = [operation.name for operation in operations]
        is_backward = (at for at, name in enumerate(names) if name.startswith(_BACKWARD))
        end = next(is_backward, None)
        if end is None:
            return self._part("ReadVariableOp", operations)
        return 1 + _share_back(names[:end], names[end:])

    def _part(self, kind, operations):
        count = sum(operation.type.startswith(kind) for operation in operations)
        return min(1.0, count / self._num_variables)


def _share_back(forward, backward):
    """Return the share of the forward pass whose gradients are made, by names of operations.

    A gradient's scope is that of its operation in the forward pass, or its name.
    """
    places = {}
    for place, name in enumerate(forward):
        places[name] = places[name.rpartition("/")[0]] = place
    for name in reversed(backward):
        scope = name.removeprefix(_BACKWARD).rpartition("/")[0]
        if scope != name.rpartition("/")[0] and scope in places:
            return 1 - places[scope] / len(forward)
    return 0.0
