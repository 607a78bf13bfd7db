"""Parameters and floating-point operations of a Keras functional model.

Two counts of operations:

* ``flops``: every operation, 2 for a multiply-add;
* ``profiler_flops``: the convention of the paper's numbers, which is that of
  TensorFlow 1's profiler: transposed convolutions count nothing but the three
  multiplications with which Keras computes their output lengths.

Both count what the graph does for one patient: build the model with
``batch_size=1``.
"""

import dataclasses
import math

from keras import layers, models

from xctrs_tf.layers.normalization import FoldedGroupNormalization


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one call of one layer costs.

    Attributes:
        name: layer name, with the names of the models around it.
        kind: class name of the layer.
        output_shape: with the batch axis.
        trainable_parameters: 0 in every call of a shared layer but the first.
        flops: all operations.
        profiler_flops: in the convention of the paper's numbers.
    """

    name: str
    kind: str
    output_shape: tuple
    trainable_parameters: int
    flops: int
    profiler_flops: int


def layer_costs(model):
    """Costs of every layer call of a functional model, in execution order.

    Args:
        model: functional `keras.Model` built with ``batch_size=1``; nested
            functional models are followed.

    Returns:
        List of `LayerCost`.

    Raises:
        TypeError: for a layer whose operations nobody has counted yet.
    """
    return list(_walk(model, batch=1, prefix="", counted=set()))


def trainable_parameters(model):
    """Number of trainable scalars of a model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _walk(model, batch, prefix, counted):
    """Yield the costs of one model's calls; ``batch`` stands in for an open batch axis."""
    # Keras has no public view of a functional model's calls, only of its layers.
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            operation = node.operation
            if isinstance(operation, layers.InputLayer):
                continue
            source, output = node.input_tensors[0], node.output_tensors[0]
            samples = output.shape[0] or batch
            if isinstance(operation, models.Model):
                yield from _walk(operation, samples, f"{prefix}{operation.name}/", counted)
                continue
            call = _Call(operation, source.shape[1:], output.shape[1:], len(node.input_tensors))
            flops, profiler_flops = _count(call)
            first = operation not in counted and isinstance(operation, layers.Layer)
            counted.add(operation)
            yield LayerCost(
                name=prefix + operation.name,
                kind=type(operation).__name__,
                output_shape=(samples, *output.shape[1:]),
                trainable_parameters=trainable_parameters(operation) if first else 0,
                flops=samples * flops,
                profiler_flops=samples * profiler_flops,
            )


@dataclasses.dataclass(frozen=True)
class _Call:
    """One call of a layer on one sample; shapes without the batch axis."""

    layer: object
    input_shape: tuple
    output_shape: tuple
    num_inputs: int

    @property
    def elements(self):
        return math.prod(self.output_shape)


def _count(call):
    """``(flops, profiler_flops)`` of one call."""
    for kinds, rule in _RULES.items():
        if isinstance(call.layer, kinds):
            counts = rule(call)
            return counts if isinstance(counts, tuple) else (counts, counts)
    if type(call.layer).__name__ in _FREE:
        return 0, 0
    raise TypeError(f"no operation count for {type(call.layer).__name__} ({call.layer.name})")


def _convolution(call):
    taps = math.prod(call.layer.kernel_size) * call.input_shape[-1] // call.layer.groups
    return call.elements * (2 * taps + call.layer.use_bias)


def _transposed_convolution(call):
    taps = math.prod(call.layer.kernel_size) * call.output_shape[-1]
    bias = call.elements * call.layer.use_bias
    # The profiler sees three output lengths, each a multiplication of scalars.
    return 2 * taps * math.prod(call.input_shape) + bias, 3 + bias


def _normalization(call):
    # Mean 1, squared difference 2, mean 1, gain 1, offset 1; folding 4 a channel.
    return 6 * call.elements + 4 * call.output_shape[-1]


_RULES = {
    (layers.Conv2D, layers.Conv3D): _convolution,
    (layers.Conv2DTranspose, layers.Conv3DTranspose): _transposed_convolution,
    FoldedGroupNormalization: _normalization,
    layers.LeakyReLU: lambda call: 3 * call.elements,  # 0.6 x + 0.4 |x|, as in the paper's graph
    layers.Softmax: lambda call: 5 * call.elements,
    layers.Add: lambda call: (call.num_inputs - 1) * call.elements,
}

# Moves data, or nothing at all.
_FREE = {
    "Activation",
    "Concatenate",
    "Permute",
    "Reshape",
    "Split",
    "UpSampling2D",
    "UpSampling3D",
}
