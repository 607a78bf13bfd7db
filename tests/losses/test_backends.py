"""The losses give the same values on TensorFlow and JAX."""

import numpy as np
import pytest

from tests.jax_backend import on_jax
from xctrs_tf.losses import (
    PUBLISHED_OBJECTIVES,
    MultiViewVGG,
    dice_loss,
    mean_absolute_error,
    one_hot,
    rsc_terms,
    soft_dice,
)

PLANES = np.array([[5, 0, 2], [11, 3, 4], [9, 7, 1]])


def values():
    """Return every loss on fixed inputs."""
    generator = np.random.default_rng(0)
    y_true, y_pred = generator.random((2, 2, 8, 12, 10, 1), "float32")
    labels = one_hot(generator.integers(0, 3, (2, 8, 12, 10)), 3)
    first, second = generator.dirichlet([1, 1, 1], (2, 2, 8, 12, 10)).astype("float32")
    heads = dict.fromkeys(("segmentation", "aux1", "aux2"), first)
    heads |= dict.fromkeys(("residual1", "residual2", "residual4"), second)
    vgg = MultiViewVGG("random", layer="block2_conv1", num_slices=3)
    return {
        "mean_absolute_error": float(mean_absolute_error(y_true, y_pred)),
        "soft_dice": np.asarray(soft_dice(labels, first)).ravel().tolist(),
        "dice_loss": float(dice_loss(labels, first)),
        "rsc_terms": [float(term) for term in rsc_terms(labels, first, second)],
        "published": {
            name: float(objective(labels, heads))
            for name, objective in PUBLISHED_OBJECTIVES.items()
        },
        "vgg": {
            view: float(loss) for view, loss in vgg.view_losses(y_true, y_pred, PLANES).items()
        },
    }


def test_jax_gives_the_same_values():
    actual = on_jax("tests.losses.test_backends", "values")
    on_tensorflow = values()
    assert actual.keys() == on_tensorflow.keys()
    for name, expected in on_tensorflow.items():
        assert actual[name] == pytest.approx(expected, rel=1e-4), name
