import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses import dice_loss, one_hot, soft_dice

SHAPE = (4, 5, 6)


def labels_of(*boxes):
    """Return a label volume `(1, 4, 5, 6)` with the given (label, slices)."""
    labels = np.zeros((1, *SHAPE), "int32")
    for label, box in boxes:
        labels[(0, *box)] = label
    return labels


def test_one_hot():
    encoded = np.asarray(one_hot(labels_of((2, np.s_[1, 2, 3])), 3))
    assert encoded.shape == (1, *SHAPE, 3)
    assert encoded.dtype == np.float32
    assert encoded[0, 1, 2, 3].tolist() == [0, 0, 1]
    assert encoded[..., 0].sum() == 4 * 5 * 6 - 1


def test_soft_dice_by_hand():
    # Class 1: 8 voxels, of which 6 are found with probability 3/4.
    y_true = one_hot(labels_of((1, np.s_[0:2, 0:2, 0:2])), 2)
    y_pred = np.zeros((1, *SHAPE, 2), "float32")
    y_pred[0, 0:2, 0:1, 0:2, 1] = 0.75
    y_pred[0, 0:2, 1:2, 0:1, 1] = 0.75
    expected = 2 * (6 * 0.75) / (8 + 6 * 0.75)
    assert float(soft_dice(y_true, y_pred)[0, 1]) == pytest.approx(expected, abs=1e-5)


def test_two_million_voxels_keep_their_digits():
    # A running sum of so many float32 numbers is wrong in the fourth digit.
    y_pred = np.random.default_rng(0).random((1, 128, 128, 128, 2), np.float32)
    y_true = np.zeros_like(y_pred)
    y_true[:, 64:, ..., 1] = y_true[:, :64, ..., 0] = 1.0
    exact = 2 * (y_true * y_pred.astype("float64")).sum(axis=(1, 2, 3))
    exact /= (y_true + y_pred.astype("float64")).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(soft_dice(y_true, y_pred), exact, rtol=1e-6)


def test_smoothing_stands_on_both_sides_of_the_fraction():
    y_true = one_hot(labels_of((1, np.s_[0, 0, 0:3])), 2)
    y_pred = one_hot(labels_of((1, np.s_[0, 0, 2:6])), 2)
    dice = float(soft_dice(y_true, y_pred, smooth=2.0)[0, 1])
    assert dice == pytest.approx((2 * 1 + 2) / (3 + 4 + 2))


def test_perfect_is_zero_and_disjoint_is_one():
    here = one_hot(labels_of((1, np.s_[0, :, :])), 2)
    there = one_hot(labels_of((1, np.s_[2, :, :])), 2)
    assert float(dice_loss(here, here)) == pytest.approx(0.0, abs=1e-6)
    assert float(dice_loss(here, there)) == pytest.approx(1.0, abs=1e-6)


def test_class_absent_from_both_is_perfect_and_from_one_is_missed():
    empty = one_hot(labels_of(), 3)
    invented = one_hot(labels_of((2, np.s_[0, 0, :])), 3)
    assert np.asarray(soft_dice(empty, empty))[0, 1:].tolist() == [1.0, 1.0]
    assert np.asarray(soft_dice(empty, invented))[0, 1:] == pytest.approx([1.0, 0.0], abs=1e-5)


def test_patients_are_not_pooled():
    large = labels_of((1, np.s_[0:4, 0:4, 0:4]))  # 64 voxels, perfect
    small = labels_of((1, np.s_[1, 1, 1]))  # 1 voxel, missed
    y_true = one_hot(np.concatenate([large, small]), 2)
    y_pred = one_hot(np.concatenate([large, labels_of()]), 2)
    assert float(dice_loss(y_true, y_pred)) == pytest.approx(0.5, abs=1e-5)


def test_background_takes_part_only_if_asked():
    y_true = one_hot(labels_of((1, np.s_[0, 0, 0:6])), 2)
    y_pred = one_hot(labels_of(), 2)
    background = 2 * 114 / (114 + 120)
    assert float(dice_loss(y_true, y_pred)) == pytest.approx(1.0, abs=1e-5)
    with_background = float(dice_loss(y_true, y_pred, include_background=True))
    assert with_background == pytest.approx(1 - background / 2, abs=1e-5)


@pytest.mark.parametrize("confidence", [0.0, 5.0, 80.0])
def test_gradient_through_a_softmax_is_finite_and_bounded(confidence):
    # Class 1 is present, class 2 absent; predictions from vague to saturated.
    y_true = one_hot(labels_of((1, np.s_[0:2, 0:2, 0:2])), 3)
    logits = tf.Variable(np.random.default_rng(0).normal(0, 0.1, (1, *SHAPE, 3)), dtype="float32")
    with tf.GradientTape() as tape:
        loss = dice_loss(y_true, tf.nn.softmax(logits - [0.0, 0.0, confidence]))
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[..., 1]).max() > 1e-4
    assert np.abs(gradient[..., 2]).sum() <= 0.25


def test_half_precision_is_summed_in_float32():
    # 40,000 voxels: past 2,048 a float16 sum no longer counts single voxels.
    y_true = np.ones((1, 40, 40, 25, 2), "float16")
    y_pred = y_true.copy()
    y_pred[:, :10] = 0
    dice = np.asarray(soft_dice(y_true, y_pred))
    assert dice.dtype == "float32"
    assert dice[0] == pytest.approx([2 * 30 / 70] * 2, rel=1e-6)
