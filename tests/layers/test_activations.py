"""LeakyReLU that keeps its output: values and gradients of Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.layers.activations import LeakyReLU


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_values_and_gradients_are_those_of_keras(policy):
    x = tf.constant(np.linspace(-2.0, 2.0, 101).reshape(1, 101), tf.float32)  # 0 among them
    results = []
    for kind in (LeakyReLU, keras.layers.LeakyReLU):
        layer = kind(negative_slope=0.2, dtype=policy)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x), tf.float32)
            loss = tf.reduce_sum(tf.cumsum(y, axis=1) ** 2)
        results.append((y, tape.gradient(loss, x)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_gradient_needs_the_output_alone():
    layer = LeakyReLU(negative_slope=0.2)

    @tf.function(autograph=False)
    def gradient(x):
        x = tf.exp(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x)

    graph = gradient.get_concrete_function(tf.TensorSpec((2, 3))).graph
    (source,) = (each for each in graph.get_operations() if each.type == "Exp")
    readers = {each.type for each in source.outputs[0].consumers()}
    # The last is how TensorFlow passes arguments on; it reads no value.
    assert readers <= {"LeakyRelu", "IdentityN", "Identity"}
