import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses import one_hot, rsc_loss, rsc_terms


def row(first, last):
    """Class 1 in the voxels first..last-1 of a row of eight."""
    labels = np.zeros((1, 1, 2, 8), "int32")
    labels[0, 0, 0, first:last] = 1
    return one_hot(labels, 2)


def test_each_direction_by_hand():
    segmentation, divergence = rsc_terms(row(0, 4), row(1, 4), row(2, 7))
    assert float(segmentation) == pytest.approx(1 - 2 * 3 / (4 + 3), abs=1e-5)
    assert float(divergence) == pytest.approx(1 - 2 * 2 / (3 + 5), abs=1e-5)
    assert float(rsc_loss(row(0, 4), row(1, 4), row(2, 7))) == pytest.approx(1 / 7 + 0.5, abs=1e-5)


def test_perfect_is_zero():
    assert float(rsc_loss(row(0, 4), row(0, 4), row(0, 4))) == pytest.approx(0.0, abs=1e-5)


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


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_loss_is_the_sum_of_the_terms_under_the_same_flags(stop, background):
    of_ct = tf.Variable(0.1 + 0.8 * row(1, 4))
    arguments = (row(0, 4), of_ct, 0.1 + 0.8 * row(2, 7), background, stop)
    with tf.GradientTape(persistent=True) as tape:
        loss, terms = rsc_loss(*arguments), sum(rsc_terms(*arguments))
    assert float(loss) == float(terms)
    np.testing.assert_allclose(
        tape.gradient(loss, of_ct), tape.gradient(terms, of_ct), rtol=1e-5, atol=1e-9
    )


def test_both_networks_learn_from_the_sum():
    variables = [tf.Variable(0.1 + 0.8 * row(1, 4)), tf.Variable(0.1 + 0.8 * row(2, 7))]
    with tf.GradientTape() as tape:
        loss = rsc_loss(row(0, 4), *variables, stop_gradient_on_target=True)
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_empty_masks_are_finite():
    empty = row(0, 0)
    assert float(rsc_loss(empty, empty, empty)) == pytest.approx(0.0, abs=1e-6)
    assert float(rsc_loss(empty, row(0, 4), empty)) == pytest.approx(2.0, abs=1e-5)
