"""Published objectives of the compared networks: values by hand and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses.compared import (
    PUBLISHED_OBJECTIVES,
    adversarial_loss,
    context_residual_loss,
    discriminator_loss,
    projection_loss,
)
from xctrs_tf.losses.cross_entropy import weighted_cross_entropy
from xctrs_tf.losses.dice import dice_loss, one_hot
from xctrs_tf.models.catalogue import NETWORKS, SEGMENTATION_NETWORKS

SHAPE = (2, 3, 4, 5)
HEADS = {
    "dsn": ("segmentation", "aux1", "aux2"),
    "conresnet": ("segmentation", "residual1", "residual2", "residual4"),
}
LABELS = np.random.default_rng(0).integers(0, 3, SHAPE)
ONE_HOT = one_hot(LABELS, 3)


def certain(probability):
    """Return predictions: the true class has the given probability, the others share the rest."""
    rest = (1.0 - probability) / 2
    return np.asarray(ONE_HOT) * (probability - rest) + rest


def test_every_segmentation_network_has_an_objective():
    assert set(PUBLISHED_OBJECTIVES) == {
        name for name in SEGMENTATION_NETWORKS if NETWORKS[name].published_objective
    }


@pytest.mark.parametrize("name", PUBLISHED_OBJECTIVES)
def test_objectives_fall_with_certainty_and_reach_every_output(name):
    logits = {
        head: tf.Variable(np.random.default_rng(1).normal(size=(*SHAPE, 3)), dtype="float32")
        for head in HEADS.get(name, ("segmentation",))
    }
    with tf.GradientTape() as tape:
        outputs = {
            head: tf.sigmoid(x) if "residual" in head else tf.nn.softmax(x)
            for head, x in logits.items()
        }
        loss = PUBLISHED_OBJECTIVES[name](ONE_HOT, outputs)
    assert loss.dtype == tf.float32
    assert loss.shape == ()
    for head, gradient in tape.gradient(loss, logits).items():
        assert np.isfinite(gradient).all()
        assert np.max(np.abs(gradient)) > 1e-5, head
    below = certain(0.5), certain(0.99)
    vague, sharp = (
        float(PUBLISHED_OBJECTIVES[name](ONE_HOT, {**outputs, "segmentation": each}))
        for each in below
    )
    assert sharp < vague


@pytest.mark.parametrize("name", PUBLISHED_OBJECTIVES)
def test_objectives_are_finite_where_a_class_is_missing_and_the_prediction_is_wrong(name):
    nothing, wrong = one_hot(np.zeros(SHAPE), 3), one_hot(np.ones(SHAPE), 3)
    outputs = dict.fromkeys(HEADS.get(name, ("segmentation",)), wrong)
    assert np.isfinite(PUBLISHED_OBJECTIVES[name](nothing, outputs))


def test_deep_supervision_weighs_one_fifth_and_two_fifths():
    outputs = {"segmentation": certain(0.5), "aux1": certain(0.25), "aux2": certain(0.125)}
    expected = (1 + 0.2 * 2 + 0.4 * 3) * np.log(2)
    assert float(PUBLISHED_OBJECTIVES["dsn"](ONE_HOT, outputs)) == pytest.approx(expected, rel=1e-5)


def test_weighted_cross_entropy_by_hand():
    labels = np.zeros((1, 1, 2, 5), int)
    labels[0, 0, 0, :3] = 1
    y_true = one_hot(labels, 2)
    y_pred = np.where(labels[..., None] == 1, [0.75, 0.25], [0.5, 0.5])
    # 3 voxels of class 1 with log 4, 7 of class 0 with log 2
    weighted = weighted_cross_entropy(y_true, y_pred, np.array([[1.0, 5.0]], "float32"))
    assert float(weighted) == pytest.approx((7 + 15 * 2) * np.log(2) / (7 + 15), rel=1e-5)
    balanced = float(PUBLISHED_OBJECTIVES["unet3d"](y_true, {"segmentation": y_pred}))
    assert balanced == pytest.approx(1.5 * np.log(2), rel=1e-5)


def test_cs2net_adds_a_third_of_each_by_hand():
    y_pred = certain(0.5)
    present = y_pred.mean(axis=(1, 2, 3))
    weights = (1 - present) / present
    # All voxels have the same cross-entropy, so that weights do not change its mean.
    assert weights.std() > 0
    dice = float(dice_loss(ONE_HOT, y_pred, include_background=True))
    expected = (1.6 * np.log(2) + 0.4 * dice) / 3
    loss = PUBLISHED_OBJECTIVES["cs2net"](ONE_HOT, {"segmentation": y_pred})
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_context_residual_by_hand():
    # One class, 3 x 4 x 5 voxels; the label changes between z = 1 and z = 2 in 7 columns.
    y_true = np.zeros((1, 3, 4, 5, 1), "float32")
    y_true.reshape(12, 5)[:7, 2:] = 1.0
    y_pred = np.full_like(y_true, 0.2)
    weight = np.log(60 / 8)
    expected = -(7 * weight * np.log(0.2) + 53 * np.log(0.8)) / 60
    assert float(context_residual_loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-5)


def test_context_residual_is_least_where_the_slices_differ():
    target = np.abs(np.diff(ONE_HOT, axis=3, prepend=np.asarray(ONE_HOT)[:, :, :, :1]))
    right, wrong = (float(context_residual_loss(ONE_HOT, each)) for each in (target, 1 - target))
    assert right < 0.01 < 1 < wrong


def test_least_squares_by_hand():
    truth, fake = np.full((2, 3, 4, 5, 1), 0.5), np.full((2, 3, 4, 5, 1), 0.25)
    expected = 0.1 * 0.5 * (0.5**2 + 0.25**2)
    assert float(discriminator_loss(truth, fake)) == pytest.approx(expected)
    assert float(adversarial_loss(fake)) == pytest.approx(0.5 * 0.75**2)
    y_true, y_pred = np.zeros((2, 3, 4, 5, 1)), np.full((2, 3, 4, 5, 1), 0.2)
    assert float(projection_loss(y_true, y_pred)) == pytest.approx(0.2)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_projections_run_along_every_axis(axis):
    # Opposite differences cancel in the projection along one axis and in no other.
    y_true = np.zeros((1, 2, 4, 6, 1))
    y_pred = y_true.copy()
    first, second = [0, 1, 1, 2, 0], [0, 1, 1, 2, 0]
    first[axis] = 0
    y_pred[tuple(first)], y_pred[tuple(second)] = 1.0, -1.0
    assert float(projection_loss(y_true, y_pred)) == pytest.approx(2 * (2 / 48) / 3)
