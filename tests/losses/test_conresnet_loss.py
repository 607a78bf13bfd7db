"""ConResNet's objective against its definition, written in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, softmax

from xctrs_tf.losses.conresnet_loss import (
    binary_cross_entropy,
    conresnet_dice_loss,
    conresnet_objective,
    context_residual_loss,
)

CLASSES = 4
SHAPE = (2, 3, 4, 5)
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, CLASSES, SHAPE)
LABELS[0][LABELS[0] == 3] = 0
Y_TRUE = np.eye(CLASSES, dtype=np.float32)[LABELS]
LOGITS = 2.0 * GENERATOR.normal(size=(*SHAPE, CLASSES))
Y_PRED = softmax(LOGITS, axis=-1)
RESIDUAL = {
    head: expit(5.0 * GENERATOR.normal(size=(*SHAPE, CLASSES)))
    for head in ("residual1", "residual2", "residual4")
}


def cross_entropy_by_definition(y_true, y_pred):
    of_voxels = -(y_true * np.log(y_pred) + (1 - y_true) * np.log(1 - y_pred))
    return sum(of_voxels[..., c].mean() for c in range(CLASSES))


def residual_by_definition(y_pred):
    losses = []
    for labels, predictions in zip(LABELS, y_pred, strict=True):
        below = np.concatenate([np.full((3, 4, 1), -1), labels[:, :, :-1]], axis=2)
        for c in range(CLASSES):
            target = (labels == c) != (below == c)
            weight = np.log(target.size / (target.sum() + 1))
            p = np.clip(predictions[..., c], 1e-3, 1 - 1e-3)
            losses.append(-np.where(target, weight * np.log(p), np.log(1 - p)).mean())
    return np.mean(losses)


def test_binary_cross_entropy_is_summed_over_classes():
    loss = float(binary_cross_entropy(Y_TRUE, Y_PRED))
    assert loss == pytest.approx(cross_entropy_by_definition(Y_TRUE, Y_PRED), rel=1e-5)


def test_binary_cross_entropy_keeps_the_digits_of_logits():
    # p is within 2e-13 of 1 for class 0, which float32 cannot tell from 1.
    logits = tf.constant([[[[[30.0, 0.0, -1.0, -2.0]]]]])
    y_true = np.eye(CLASSES, dtype=np.float32)[1].reshape(1, 1, 1, 1, CLASSES)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = binary_cross_entropy(y_true, tf.nn.softmax(logits))
    exact = softmax(np.asarray(logits, np.float64).ravel())
    rest = exact[1:].sum()
    expected = -np.log(exact[1]) - np.log(rest) - np.log1p(-exact[2:]).sum()
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    # -log(p of class 1) gives p - y; -log(rest) gives 1 for class 0, -p / rest for the others.
    expected = exact - y_true.ravel() + np.concatenate([[1.0], -exact[1:] / rest])
    np.testing.assert_allclose(np.ravel(tape.gradient(loss, logits)), expected, atol=1e-5)


def test_dice_has_all_classes_and_a_voxel_in_the_denominator_alone():
    axes = (1, 2, 3)
    total = Y_TRUE.sum(axes) + Y_PRED.sum(axes) + 1
    expected = 1 - np.mean(2 * (Y_TRUE * Y_PRED).sum(axes) / total)
    assert float(conresnet_dice_loss(Y_TRUE, Y_PRED)) == pytest.approx(expected, rel=1e-5)
    nothing = np.eye(CLASSES)[np.zeros_like(LABELS)]
    assert float(conresnet_dice_loss(nothing, nothing)) == pytest.approx(
        1 - (2 * 60 / 121) / CLASSES, rel=1e-5
    )


def test_residual_loss_by_definition():
    y_pred = RESIDUAL["residual1"]
    loss = float(context_residual_loss(Y_TRUE, y_pred))
    assert loss == pytest.approx(residual_by_definition(y_pred), rel=1e-5)


def test_target_of_the_lowest_slice_is_its_label():
    # One class, 3 x 4 x 5 voxels: 7 columns are labelled from z = 0 to z = 1.
    y_true = np.zeros((1, 3, 4, 5, 1), "float32")
    y_true.reshape(12, 5)[:7, :2] = 1.0
    target = np.zeros_like(y_true)
    target.reshape(12, 5)[:7, [0, 2]] = 1.0
    right, wrong = (float(context_residual_loss(y_true, each)) for each in (target, 1 - target))
    assert right < 0.01 < 1 < wrong
    weight = np.log(60 / 15)
    expected = -(14 * weight * np.log(0.2) + 46 * np.log(0.8)) / 60
    loss = float(context_residual_loss(y_true, np.full_like(y_true, 0.2)))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_objective_adds_half_of_the_coarser_heads():
    expected = (
        float(conresnet_dice_loss(Y_TRUE, Y_PRED))
        + cross_entropy_by_definition(Y_TRUE, Y_PRED)
        + residual_by_definition(RESIDUAL["residual1"])
        + 0.5 * residual_by_definition(RESIDUAL["residual2"])
        + 0.5 * residual_by_definition(RESIDUAL["residual4"])
    )
    loss = conresnet_objective(Y_TRUE, {"segmentation": Y_PRED, **RESIDUAL})
    assert float(loss) == pytest.approx(expected, rel=1e-5)
