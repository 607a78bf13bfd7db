"""The losses give the same values on TensorFlow and JAX."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from xctrs_tf.losses import (
    MultiViewVGG,
    dice_loss,
    mean_absolute_error,
    one_hot,
    rsc_loss,
    soft_dice,
)


def values():
    """Every loss on fixed inputs."""
    generator = np.random.default_rng(0)
    y_true, y_pred = generator.random((2, 2, 8, 12, 10, 1), "float32")
    labels = one_hot(generator.integers(0, 3, (2, 8, 12, 10)), 3)
    first, second = generator.dirichlet([1, 1, 1], (2, 2, 8, 12, 10)).astype("float32")
    vgg = MultiViewVGG("random", layer="block2_conv1", num_slices=3)
    return {
        "mean_absolute_error": float(mean_absolute_error(y_true, y_pred)),
        "soft_dice": np.asarray(soft_dice(labels, first)).ravel().tolist(),
        "dice_loss": float(dice_loss(labels, first)),
        "rsc_loss": float(rsc_loss(labels, first, second)),
        "vgg": {view: float(loss) for view, loss in vgg.view_losses(y_true, y_pred, 5).items()},
    }


def test_jax_gives_the_same_values():
    program = (
        "import json; from tests.losses.test_backends import values; print(json.dumps(values()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    on_jax = json.loads(finished.stdout.splitlines()[-1])
    on_tensorflow = values()
    assert on_jax.keys() == on_tensorflow.keys()
    for name, expected in on_tensorflow.items():
        assert on_jax[name] == pytest.approx(expected, rel=1e-4), name
