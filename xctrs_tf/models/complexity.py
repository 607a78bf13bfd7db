"""Parameters and floating-point operations of a Keras functional model.

Two counts of operations:

* ``flops``: every operation, 2 for a multiply-add;
* ``profiler_flops``: the convention of the paper's numbers, which is that of
  TensorFlow 1's profiler: transposed convolutions count nothing but the three
  multiplications with which Keras computes their output lengths.

Both are counted for one patient: build the model with ``batch_size=1``.
"""

import concurrent.futures
import dataclasses
import functools
import math

import keras
from keras import layers, models

from xctrs_tf.errors import UserError
from xctrs_tf.layers.slice_difference import SliceDifference
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.compared.cs2net import ChannelAttention, PositionAttention
from xctrs_tf.models.compared.linear_resampling import LinearDownSampling3D, LinearUpSampling3D

# Of a training step: forward, and two in the backward pass, for the gradients of the features
# and of the weights.
TRAINING_PASSES = 3


def without_memory(factory, **arguments):
    """Build a model whose weights have shapes but no values.

    In a stateless scope Keras defers the initial values of all weights, and
    assigns them when the next such scope of the same thread ends. The model is
    therefore built in a thread of its own that ends at once.

    Args:
        factory: function that returns a `keras.Model`.
        **arguments: arguments of the factory.

    Returns:
        The model, for counting only.
    """

    def build():
        with keras.StatelessScope(initialize_variables=False):
            return factory(**arguments)

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(build).result()


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """Cost of one call of one layer.

    Attributes:
        name: layer name, after the names of the models that contain it.
        kind: class name of the layer.
        output_shape: tuple with the batch axis.
        trainable_parameters: 0 in every call of a shared layer but the first.
        flops: number of all operations.
        profiler_flops: number in the convention of the paper.
    """

    name: str
    kind: str
    output_shape: tuple
    trainable_parameters: int
    flops: int
    profiler_flops: int


@functools.cache
def network_costs(name, size, width=1.0, training_heads=True, discriminator=False):
    """List the cost of every layer call of a network of the catalogue, for one patient.

    Args:
        name: key of `catalogue.NETWORKS`.
        size: voxels a side.
        width: factor on every width.
        training_heads: with the outputs that only training needs, where the network has such;
            the paper's counts imply them.
        discriminator: count the network that it is trained against in its place.

    Returns:
        Tuple of `LayerCost`, in execution order.

    Raises:
        UserError: a layer has no rule in this module.
    """
    network = NETWORKS[name]
    factory = network.discriminator_factory if discriminator else network.factory
    heads = training_heads and network.training_heads and not discriminator
    arguments = {"training_heads": True} if heads else {}
    model = without_memory(factory, size=size, width=width, batch_size=1, **arguments)
    try:
        return tuple(layer_costs(model))
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def layer_costs(model):
    """List the cost of every layer call of a functional model, in execution order.

    Args:
        model: functional `keras.Model` built with ``batch_size=1``; nested
            functional models are followed.

    Returns:
        List of `LayerCost`.

    Raises:
        UserError: a layer has no rule in this module.

    Ge et al. (2022), Table 2, 3.
    """
    return list(_walk(model, batch=1, prefix="", counted=set()))


def trainable_parameters(model):
    """Count the trainable scalars of a model.

    Args:
        model: `keras.Model` or layer.

    Returns:
        int.

    Ge et al. (2022), Table 2, 3.
    """
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _walk(model, batch, prefix, counted):
    """Yield the costs of one model's calls; ``batch`` replaces an open batch axis."""
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
    """Return ``(flops, profiler_flops)`` of one call."""
    for kinds, rule in _RULES.items():
        if isinstance(call.layer, kinds):
            counts = rule(call)
            return counts if isinstance(counts, tuple) else (counts, counts)
    if type(call.layer).__name__ in _FREE:
        return 0, 0
    raise UserError(
        f"no operation count for {type(call.layer).__name__} ({call.layer.name}); add a rule to "
        "xctrs_tf/models/complexity.py"
    )


def _convolution(call):
    taps = math.prod(call.layer.kernel_size) * call.input_shape[-1] // call.layer.groups
    return call.elements * (2 * taps + call.layer.use_bias)


def _weight_standardized_convolution(call):
    # A weight: mean 1, difference 1, square and sum 2, quotient 1. A filter: quotient, sum, root.
    weights = math.prod(call.layer.kernel_size) * call.input_shape[-1]
    return _convolution(call) + (5 * weights + 3) * call.output_shape[-1]


def _transposed_convolution(call):
    taps = math.prod(call.layer.kernel_size) * call.output_shape[-1]
    bias = call.elements * call.layer.use_bias
    # The profiler sees three output lengths, each a multiplication of scalars.
    return 2 * taps * math.prod(call.input_shape) + bias, 3 + bias


def _depthwise_convolution(call):
    return call.elements * 2 * math.prod(call.layer.kernel_size)


def _dense(call):
    return call.elements * (2 * call.input_shape[-1] + call.layer.use_bias)


def _batch_normalization(call):
    # After training the statistics are folded into one gain and one offset.
    return 2 * call.elements + 4 * call.output_shape[-1]


def _normalization(call):
    # Mean 1, squared difference 2, mean 1, gain 1, offset 1; folding 4 a channel.
    return 6 * call.elements + 4 * call.output_shape[-1]


def _activation(call):
    if call.layer.activation is not keras.activations.sigmoid:
        return 0  # a change of type only
    return 4 * call.elements, 0  # the profiler counts no sigmoid


def _linear_upsampling(call):
    # Axis by axis, two products and a sum for each value.
    factor = call.layer.factor
    return 3 * call.elements * (factor**2 + factor + 1) // factor**2


def _linear_downsampling(call):
    # Axis by axis, for each value as many products as the factor, and their sum.
    factor = call.layer.factor
    return (2 * factor - 1) * call.elements * (factor**2 + factor + 1)


def _average_pooling(call):
    # Sums, and one quotient.
    return call.elements * math.prod(call.layer.pool_size)


def _max_pooling(call):
    return call.elements * (math.prod(call.layer.pool_size) - 1)


def _position_attention(call):
    *spatial, key_channels = call.input_shape
    positions, channels = math.prod(spatial), call.output_shape[-1]
    scores = 2 * positions**2 * (2 * key_channels + positions)
    return scores + _attend(positions, channels)


def _channel_attention(call):
    *spatial, channels = call.input_shape
    positions = math.prod(spatial)
    energy = 2 * channels**2 * (positions + channels) + 2 * channels**2  # max(E) - E
    return energy + _attend(channels, positions)


def _attend(members, values):
    """Count the softmax over all members, the weighted sums, the gate and the sum."""
    return 5 * members**2 + 2 * members**2 * values + 2 * members * values


_RULES = {
    # Before Conv3D, its base class: the first rule that fits counts.
    WeightStandardizedConv3D: _weight_standardized_convolution,
    (layers.Conv2D, layers.Conv3D): _convolution,
    (layers.Conv2DTranspose, layers.Conv3DTranspose): _transposed_convolution,
    layers.DepthwiseConv2D: _depthwise_convolution,
    layers.Dense: _dense,
    layers.GroupNormalization: _normalization,
    layers.BatchNormalization: _batch_normalization,
    layers.ReLU: lambda call: call.elements,
    layers.LeakyReLU: lambda call: 3 * call.elements,  # 0.6 x + 0.4 |x|, as in the paper's graph
    layers.Softmax: lambda call: 5 * call.elements,
    layers.Activation: _activation,
    (layers.Add, layers.Multiply): lambda call: (call.num_inputs - 1) * call.elements,
    layers.Average: lambda call: call.num_inputs * call.elements,
    (layers.AveragePooling2D, layers.AveragePooling3D): _average_pooling,
    (layers.MaxPooling2D, layers.MaxPooling3D): _max_pooling,
    layers.GlobalAveragePooling2D: lambda call: math.prod(call.input_shape),
    LinearUpSampling3D: _linear_upsampling,
    LinearDownSampling3D: _linear_downsampling,
    SliceDifference: lambda call: 2 * call.elements,
    PositionAttention: _position_attention,
    ChannelAttention: _channel_attention,
}

# Layers that only move data; dropout is inactive after training.
_FREE = {
    "Concatenate",
    "Cropping2D",
    "Cropping3D",
    "Dropout",
    "NearestUpSampling2D",
    "NearestUpSampling3D",
    "Pad",
    "Permute",
    "Reshape",
    "SpatialDropout3D",
    "Split",
    "UpSampling3D",
    "ZeroPadding2D",
    "ZeroPadding3D",
}
