"""Operations and memory of a training step, counted from the networks without running them."""

import functools
import math

from xctrs_tf.models.catalogue import NETWORKS

# Forward, and two in the backward pass: gradients of the features and of the weights.
_PASSES = 3
# Of VGG16, which is not trained: features of the truth and of the reconstruction, and the
# gradient of the latter.
_VGG_PASSES = 3
# The adversarial term and its gradient, and the discriminator's own step on two volumes.
_DISCRIMINATOR_PASSES = _PASSES + 2 * _PASSES
# float32 weights, gradients and two moments of Adam.
_BYTES_PER_PARAMETER = 16
# Feature maps are kept for the backward pass in float32; their gradients are freed soon.
_BYTES_PER_FEATURE = 4
# Python, TensorFlow and the data pipeline.
_PROCESS_BYTES = 0.9 * 2**30


def step_operations(config):
    """Count the operations of one training step: 2 for a multiply-add.

    Losses other than VGG's, the optimizer and the data pipeline are not counted.

    Args:
        config: `TrainingConfig`.

    Returns:
        float.
    """
    total = sum(
        passes * samples * _counts(name, config.size, config.width)[0]
        for name, samples, passes in _calls(config)
    )
    if config.uses_vgg:
        images = 3 * (config.vgg_slices or config.size)
        total += _VGG_PASSES * images * _vgg_operations(config.vgg_layer, config.size)
    return float(config.batch_size * total)


def step_memory(config):
    """Estimate the largest memory of a training process in bytes.

    Args:
        config: `TrainingConfig`.

    Returns:
        float; features, weights and the process itself.
    """
    patients = max(1, config.batch_size // config.accumulation)
    features = parameters = 0.0
    for name, samples, _ in _calls(config):
        _, values, trainable = _counts(name, config.size, config.width)
        # With --remat only the borders of the stages are kept.
        features += samples * values * (0.4 if config.remat else 1.0)
        parameters += trainable
    return (
        _PROCESS_BYTES
        + patients * features * _BYTES_PER_FEATURE
        + parameters * _BYTES_PER_PARAMETER
    )


def _calls(config):
    """Return the networks that a step runs, each with its samples for a patient and its passes."""
    calls = []
    if config.has_own_reconstruction:
        calls.append((config.reconstruction, 1, _PASSES))
    if config.uses_segmentation:
        # RSC segments the patient's CT, too.
        calls.append((config.segmentation, 2 if config.rsc_weight else 1, _PASSES))
    if config.is_adversarial:
        calls.append((f"{config.reconstruction} discriminator", 1, _DISCRIMINATOR_PASSES))
    return calls


@functools.cache
def _counts(name, size, width):
    """Return operations, values of all feature maps and parameters, for one patient."""
    from xctrs_tf.models.complexity import layer_costs, without_memory

    name, _, discriminator = name.partition(" ")
    network = NETWORKS[name]
    factory = network.discriminator_factory if discriminator else network.factory
    heads = {"training_heads": True} if network.training_heads and not discriminator else {}
    model = without_memory(factory, size=size, width=width, batch_size=1, **heads)
    costs = layer_costs(model)
    return (
        sum(cost.flops for cost in costs),
        sum(math.prod(cost.output_shape) for cost in costs),
        sum(cost.trainable_parameters for cost in costs),
    )


@functools.cache
def _vgg_operations(layer, size):
    """Return the operations of VGG16 up to a layer for one image."""
    import keras

    from xctrs_tf.models.complexity import layer_costs, without_memory

    shape = {"input_shape": (max(size, 32), max(size, 32), 3)}
    network = without_memory(keras.applications.VGG16, weights=None, include_top=False, **shape)
    total = 0
    for cost in layer_costs(network):
        total += cost.flops
        if cost.name == layer:
            break
    return total
