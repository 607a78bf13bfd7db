import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses import one_hot, rsc_terms


def row(first, last):
    """Return a row of eight voxels with class 1 in first..last-1."""
    labels = np.zeros((1, 1, 2, 8), "int32")
    labels[0, 0, 0, first:last] = 1
    return one_hot(labels, 2)


def rsc_sum(*arguments, **options):
    return sum(rsc_terms(*arguments, **options))


def test_each_direction_by_hand():
    segmentation, divergence = rsc_terms(row(0, 4), row(1, 4), row(2, 7))
    assert float(segmentation) == pytest.approx(1 - 2 * 3 / (4 + 3), abs=1e-5)
    assert float(divergence) == pytest.approx(1 - 2 * 2 / (3 + 5), abs=1e-5)


def test_perfect_is_zero():
    assert float(rsc_sum(row(0, 4), row(0, 4), row(0, 4))) == pytest.approx(0.0, abs=1e-5)


def test_background_takes_part_only_if_asked():
    with_background = float(rsc_terms(row(0, 4), row(4, 8), row(4, 8), include_background=True)[0])
    assert with_background == pytest.approx(1 - (0.0 + 2 * 8 / 24) / 2, abs=1e-5)


@pytest.mark.parametrize("stop", [False, True])
def test_who_gets_the_gradient_of_the_divergence(stop):
    segmentation_of_ct = tf.Variable(0.1 + 0.8 * row(1, 4))
    segmentation_of_reconstruction = tf.Variable(0.1 + 0.8 * row(2, 7))
    with tf.GradientTape() as tape:
        divergence = rsc_terms(
            row(0, 4),
            segmentation_of_ct,
            segmentation_of_reconstruction,
            stop_gradient_on_target=stop,
        )[1]
    to_ct, to_reconstruction = tape.gradient(
        divergence, [segmentation_of_ct, segmentation_of_reconstruction]
    )
    assert np.abs(to_reconstruction).max() > 0
    assert (to_ct is None) == stop
    if not stop:
        assert np.abs(to_ct).max() > 0


def test_both_networks_learn_from_the_sum():
    variables = [tf.Variable(0.1 + 0.8 * row(1, 4)), tf.Variable(0.1 + 0.8 * row(2, 7))]
    with tf.GradientTape() as tape:
        loss = rsc_sum(row(0, 4), *variables, stop_gradient_on_target=True)
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_empty_masks_are_finite():
    empty = row(0, 0)
    assert float(rsc_sum(empty, empty, empty)) == pytest.approx(0.0, abs=1e-6)
    assert float(rsc_sum(empty, row(0, 4), empty)) == pytest.approx(2.0, abs=1e-5)
