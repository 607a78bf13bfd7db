"""CS2-Net's objective against its definition, written in NumPy."""

import numpy as np
import pytest

from xctrs_tf.losses.cs2net_loss import cs2net_objective, pooled_dice_loss

CLASSES = 3
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, CLASSES, (2, 3, 4, 5))
LABELS[0][LABELS[0] == 2] = 0  # so that the patients of the batch differ
Y_TRUE = np.eye(CLASSES, dtype=np.float32)[LABELS]
Y_PRED = GENERATOR.dirichlet([1, 2, 3], LABELS.shape).astype(np.float32)
EVERYWHERE = (0, 1, 2, 3)


def dice_by_definition(y_true, y_pred):
    dice = [
        (2 * np.sum(y_true[..., c] * y_pred[..., c]) + 1)
        / (np.sum(y_true[..., c] ** 2) + np.sum(y_pred[..., c] ** 2) + 1)
        for c in range(CLASSES)
    ]
    return 1 - np.mean(dice)


def test_dice_has_squares_one_voxel_and_the_whole_batch():
    loss = float(pooled_dice_loss(Y_TRUE, Y_PRED))
    assert loss == pytest.approx(dice_by_definition(Y_TRUE, Y_PRED), rel=1e-5)
    patients = [float(pooled_dice_loss(Y_TRUE[i : i + 1], Y_PRED[i : i + 1])) for i in (0, 1)]
    assert abs(loss - np.mean(patients)) > 1e-3


def test_an_absent_class_that_is_not_predicted_is_right():
    nothing = np.eye(CLASSES)[np.zeros_like(LABELS)]
    assert float(pooled_dice_loss(nothing, nothing)) == pytest.approx(0, abs=1e-6)


def test_objective_by_definition():
    losses = -np.log(np.sum(Y_TRUE * Y_PRED, axis=-1))
    class_weights = np.sum(1 - Y_PRED, axis=EVERYWHERE) / np.sum(Y_PRED, axis=EVERYWHERE)
    weighted = np.average(losses, weights=class_weights[LABELS])
    expected = (losses.mean() + 0.6 * weighted + 0.4 * dice_by_definition(Y_TRUE, Y_PRED)) / 3
    loss = cs2net_objective(Y_TRUE, {"segmentation": Y_PRED})
    assert float(loss) == pytest.approx(expected, rel=1e-5)
