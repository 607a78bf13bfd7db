"""Operations and memory of a training step, counted from the networks without running them."""

import functools
import math

from xctrs_tf.models.complexity import (
    TRAINING_PASSES,
    layer_costs,
    network_costs,
    without_memory,
)

# Of VGG16, which is not trained: features of the truth and of the reconstruction, and the
# gradient of the latter.
_VGG_PASSES = 3
# The adversarial term and its gradient, and the discriminator's own step on two volumes.
_DISCRIMINATOR_PASSES = TRAINING_PASSES + 2 * TRAINING_PASSES
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
        passes * samples * sum(cost.flops for cost in costs)
        for costs, samples, passes in _calls(config)
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
    for costs, samples, _ in _calls(config):
        values = sum(math.prod(cost.output_shape) for cost in costs)
        # With --remat only the borders of the stages are kept.
        features += samples * values * (0.4 if config.remat else 1.0)
        parameters += sum(cost.trainable_parameters for cost in costs)
    return (
        _PROCESS_BYTES
        + patients * features * _BYTES_PER_FEATURE
        + parameters * _BYTES_PER_PARAMETER
    )


def _calls(config):
    """Return the costs of the networks that a step runs, each with its samples and passes.

    Samples are those for one patient.
    """
    costs_of = functools.partial(network_costs, size=config.size, width=config.width)
    calls = []
    if config.has_own_reconstruction:
        costs = costs_of(config.reconstruction, training_heads=False)
        calls.append((costs, 1, TRAINING_PASSES))
    if config.uses_segmentation:
        # As in training (`training.run`): no other objective needs the further outputs.
        heads = config.segmentation_objective == "published"
        costs = costs_of(config.segmentation, training_heads=heads)
        # RSC segments the patient's CT, too.
        calls.append((costs, 2 if config.rsc_weight else 1, TRAINING_PASSES))
    if config.is_adversarial:
        costs = costs_of(config.reconstruction, discriminator=True)
        calls.append((costs, 1, _DISCRIMINATOR_PASSES))
    return calls


@functools.cache
def _vgg_operations(layer, size):
    """Return the operations of VGG16 up to a layer for one image."""
    import keras

    shape = {"input_shape": (max(size, 32), max(size, 32), 3)}
    network = without_memory(keras.applications.VGG16, weights=None, include_top=False, **shape)
    total = 0
    for cost in layer_costs(network):
        total += cost.flops
        if cost.name == layer:
            break
    return total
