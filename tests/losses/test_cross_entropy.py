"""Cross-entropy on hand-computed values."""

import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses import cross_entropy


def _volume(*voxels):
    """Reshape ``[voxel, class]`` to `(1, voxels, 1, 1, classes)`."""
    return np.array(voxels, np.float32)[None, :, None, None, :]


def test_is_the_mean_of_minus_log_of_the_true_class():
    y_true = _volume([1, 0], [0, 1])
    y_pred = _volume([0.5, 0.5], [0.75, 0.25])
    expected = -(np.log(0.5) + np.log(0.25)) / 2
    assert float(cross_entropy(y_true, y_pred)) == pytest.approx(expected, rel=1e-6)


def test_balanced_weighs_classes_alike_and_leaves_out_absent_ones():
    # Three voxels of class 0, one of class 1, none of class 2.
    y_true = _volume([1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0])
    y_pred = _volume([0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.25, 0.7, 0.05], [0.8, 0.125, 0.075])
    of_class_0 = -(2 * np.log(0.5) + np.log(0.25)) / 3
    of_class_1 = -np.log(0.125)
    expected = (of_class_0 + of_class_1) / 2
    assert float(cross_entropy(y_true, y_pred, balance=1.0)) == pytest.approx(expected, rel=1e-6)


def test_half_balanced_weighs_by_the_root_of_the_class():
    y_true = _volume([1, 0], [1, 0], [1, 0], [1, 0], [0, 1])
    y_pred = _volume([0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.9, 0.1])
    # Four voxels at a weight of 1/2, one at 1.
    expected = -(4 * np.log(0.5) / 2 + np.log(0.1)) / 3
    assert float(cross_entropy(y_true, y_pred, balance=0.5)) == pytest.approx(expected, rel=1e-6)


def test_certain_and_wrong_is_finite_with_a_finite_gradient():
    y_pred = tf.constant(_volume([0.0, 1.0]))
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        loss = cross_entropy(_volume([1, 0]), y_pred)
    assert float(loss) == pytest.approx(126 * np.log(2), rel=1e-5)
    assert np.isfinite(tape.gradient(loss, y_pred)).all()


def test_a_network_that_begins_with_large_logits_can_learn():
    # The true class has a probability of 1e-35, as in the first steps of ConResNet.
    logits = tf.constant(_volume([0.0, 80.0]))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = cross_entropy(_volume([1, 0]), tf.nn.softmax(logits))
    assert float(loss) == pytest.approx(80.0, rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, logits), _volume([-1, 1]), rtol=1e-5)
