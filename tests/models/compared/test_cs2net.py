"""CS2-Net's attentions against their definition, written in NumPy."""

import numpy as np
import pytest
from scipy.special import softmax

from xctrs_tf.models.compared.cs2net import ChannelAttention, PositionAttention

SPATIAL = (2, 3, 2)
KEYS, CHANNELS = 2, 4
GENERATOR = np.random.default_rng(0)
X, V = GENERATOR.normal(size=(2, 2, *SPATIAL, CHANNELS)).astype(np.float32)
Q, K, J = GENERATOR.normal(size=(3, 2, *SPATIAL, KEYS)).astype(np.float32)
GATE = 0.7


def attend(layer, inputs):
    layer.build(None)
    layer.gate.assign(GATE)
    return np.asarray(layer(inputs))


def rows(x):
    return x.reshape(-1, x.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("patient", [0, 1])
def test_every_position_distributes_its_value(patient):
    q, k, j, v, x = (rows(each[patient]) for each in (Q, K, J, V, X))
    weights = softmax((q @ k.T) @ (j @ k.T), axis=-1)
    expected = x.copy()
    for source in range(len(x)):
        for position in range(len(x)):
            expected[position] += GATE * weights[source, position] * v[source]
    actual = attend(PositionAttention(), [Q, K, J, V, X])[patient]
    np.testing.assert_allclose(rows(actual), expected, rtol=1e-4, atol=1e-5)


def test_the_sum_of_the_values_is_kept():
    # Each row of the softmax sums to 1.
    added = attend(PositionAttention(), [Q, K, J, V, X]) - X
    np.testing.assert_allclose(
        added.sum(axis=(1, 2, 3)), GATE * V.sum(axis=(1, 2, 3)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("patient", [0, 1])
def test_every_channel_attends_to_those_unlike_it(patient):
    x = rows(X[patient])
    energy = (x.T @ x) @ (x.T @ x)
    weights = softmax(-energy, axis=-1)
    expected = x + GATE * x @ weights.T
    actual = attend(ChannelAttention(), X)[patient]
    np.testing.assert_allclose(rows(actual), expected, rtol=1e-4, atol=1e-5)
