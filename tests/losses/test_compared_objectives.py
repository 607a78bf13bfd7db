"""Published objectives of the compared networks: values by hand and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses.compared import (
    PUBLISHED_OBJECTIVES,
    adversarial_loss,
    discriminator_loss,
    projection_loss,
)
from xctrs_tf.losses.cross_entropy import weighted_cross_entropy
from xctrs_tf.losses.dice import one_hot
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


@pytest.mark.parametrize("name", ["unet3d", "dsn", "cs2net", "conresnet"])
def test_certain_and_wrong_voxels_have_a_gradient(name):
    # The true class has a probability of e^-60 = 1e-26.
    logits = tf.Variable(60.0 * np.roll(ONE_HOT, 1, axis=-1))
    with tf.GradientTape() as tape:
        probabilities = tf.nn.softmax(logits)
        outputs = dict.fromkeys(HEADS.get(name, ("segmentation",)), probabilities)
        loss = PUBLISHED_OBJECTIVES[name](ONE_HOT, outputs)
    of_truth = tf.reduce_sum(tape.gradient(loss, logits) * ONE_HOT, axis=-1)
    assert float(loss) > 20
    assert np.max(of_truth) < -0.1 / LABELS.size


def test_deep_supervision_weighs_five_one_and_two():
    outputs = {"segmentation": certain(0.5), "aux1": certain(0.25), "aux2": certain(0.125)}
    expected = (5 + 1 * 2 + 2 * 3) * np.log(2)
    assert float(PUBLISHED_OBJECTIVES["dsn"](ONE_HOT, outputs)) == pytest.approx(expected, rel=1e-5)


def test_densebiasnet_takes_the_mean_over_classes_too():
    for probability in (0.5, 0.0):
        outputs = {"segmentation": certain(probability)}
        expected = -np.log(probability + 1e-6) / 3
        loss = PUBLISHED_OBJECTIVES["densebiasnet"](ONE_HOT, outputs)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


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


def test_least_squares_by_hand():
    truth, fake = np.full((2, 3, 4, 5, 1), 0.5), np.full((2, 3, 4, 5, 1), 0.25)
    expected = 0.1 * (0.5**2 + 0.25**2)
    assert float(discriminator_loss(truth, fake)) == pytest.approx(expected)
    assert float(adversarial_loss(fake)) == pytest.approx(0.75**2)
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
