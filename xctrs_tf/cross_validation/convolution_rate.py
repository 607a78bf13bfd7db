"""Rate of a small training step of convolutions on this machine, measured in seconds."""

import statistics
import time

import numpy as np

# Edge of the volume, and filters of each convolution: as inside the networks.
_SIZE, _FILTERS = 32, 32
_LAYERS, _REPEATS = 2, 5


def convolution_rate():
    """Measure how many operations per second a training step of 3D convolutions makes.

    The step has two convolutions with normalisation and activation, their gradients, and an
    update. What else the machine does meanwhile counts.

    Returns:
        Operations per second, the median of several steps.
    """
    import keras

    from xctrs_tf.layers.normalization import FoldedGroupNormalization
    from xctrs_tf.models.complexity import layer_costs

    keras.config.set_dtype_policy("float32")
    inputs = keras.Input((_SIZE,) * 3 + (_FILTERS,), batch_size=1)
    outputs = inputs
    for _ in range(_LAYERS):
        outputs = keras.layers.Conv3D(_FILTERS, 3, padding="same")(outputs)
        outputs = FoldedGroupNormalization(groups=1)(outputs)
        outputs = keras.layers.LeakyReLU(0.2)(outputs)
    model = keras.Model(inputs, outputs)
    # XLA is slower for 3D convolutions on a CPU; JAX compiles in any case.
    jit = {} if keras.backend.backend() == "jax" else {"jit_compile": False}
    model.compile(optimizer="sgd", loss="mse", **jit)
    volume = np.random.default_rng(0).random(inputs.shape, np.float32)
    # Forward, and two in the backward pass; the input needs no gradient.
    costs = layer_costs(model)
    operations = 3 * sum(cost.flops for cost in costs) - sum(c.flops for c in costs) / _LAYERS
    seconds = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        model.train_on_batch(volume, volume)
        seconds.append(time.perf_counter() - began)
    # The first step is traced.
    return operations / statistics.median(seconds[1:])
