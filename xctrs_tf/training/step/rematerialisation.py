"""Gradient checkpointing: the backward pass computes features again instead of keeping them."""

import collections
import dataclasses

import keras
from keras import layers, tree

# Ends of the paths of variables that a call in training mode changes.
_STATES = ("moving_mean", "moving_variance", "seed_generator_state")
_ACTIVATIONS = (layers.LeakyReLU, layers.ReLU, layers.Activation)


class Rematerialised:
    """A functional network whose backward pass needs less memory and more time.

    The network is cut into stages of about two convolutions. Only the tensors
    between stages are kept for the backward pass, which computes the inside of each
    stage again. Weights, names and results are those of the network.

    In training mode, stages with a state (batch normalisation, dropout) keep everything,
    since running them twice would change the state.

    `keras.RematScope` is no substitute (Keras 3.15): around networks of these layers
    its mode "full" fails in a `tf.function`, and "activations" saves no memory.

    Args:
        network: functional `keras.Model`.
    """

    def __init__(self, network):
        self._network = network
        self._stages = list(_stages(network))

    @property
    def non_trainable_variables(self):
        """Non-trainable variables of the network."""
        return self._network.non_trainable_variables

    def __call__(self, inputs, training=None):
        """Run the network.

        Args:
            inputs: as for the network.
            training: run the network in training mode. A frozen network runs in stages, too,
                since the gradient may pass through it.

        Returns:
            The network's outputs.
        """
        values = dict(zip(_ids(self._network.input), tree.flatten(inputs), strict=True))
        for stage in self._stages:
            outputs = stage([values[each] for each in stage.inputs], bool(training))
            values.update(zip(stage.outputs, outputs, strict=True))
        outputs = self._network.output
        return tree.pack_sequence_as(outputs, [values[each] for each in _ids(outputs)])


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Part of a network: a model and the ids of the tensors that enter and leave it."""

    inputs: list
    outputs: list
    model: keras.Model

    def __call__(self, values, training):
        def run(*values):
            return tree.flatten(self.model(list(values), training=training))

        # The weights of a frozen network are not trainable either.
        changes_state = training and any(
            variable.path.endswith(_STATES) for variable in self.model.non_trainable_variables
        )
        # Without weights it only reshapes and keeps nothing.
        if changes_state or not self.model.weights:
            return run(*values)
        return keras.remat(run)(*values)


def _stages(network):
    """Yield the stages of a network in an order in which they can run."""
    by_depth = network._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    readers = collections.Counter(id(x) for node in nodes for x in node.input_tensors)
    # The outputs of the network are read by its caller.
    readers.update({key: 2 for key in _ids(network.output)})
    makers = {id(x): node for node in nodes for x in node.output_tensors}
    kept = set(_ids(network.input))
    for node in nodes:
        if node.is_input:
            continue
        entering, inside = _stage_before(node, makers, kept)
        activations = sum(isinstance(each.operation, _ACTIVATIONS) for each in inside)
        ends = isinstance(node.operation, _ACTIVATIONS) and activations > 1
        shared = sum(readers[id(x)] for x in node.output_tensors) > 1
        if ends or shared or isinstance(node.operation, keras.Model):
            leaving = list(node.output_tensors)
            model = keras.Model(entering, leaving)
            yield _Stage(_ids(entering), _ids(leaving), model)
            kept.update(_ids(leaving))


def _stage_before(node, makers, kept):
    """Return ``(tensors, nodes)``: the kept inputs of ``node``, and all nodes from there to it."""
    entering, inside, todo = {}, {}, [node]
    while todo:
        node = todo.pop()
        inside[id(node)] = node
        for tensor in node.input_tensors:
            if id(tensor) in kept:
                entering[id(tensor)] = tensor
            elif id(makers[id(tensor)]) not in inside:
                todo.append(makers[id(tensor)])
    return list(entering.values()), list(inside.values())


def _ids(tensors):
    return [id(tensor) for tensor in tree.flatten(tensors)]
