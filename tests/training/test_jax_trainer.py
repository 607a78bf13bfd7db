"""On JAX a step does what it does on TensorFlow, and weights go back and forth."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.training.jax_steps import CASES, make_networks, take_steps
from xctrs_tf.training.trainer import Trainer


class _Trainer(Trainer):
    """Takes plain integers, as the one for JAX does."""

    def train_step(self, batch, seed):
        return super().train_step(batch, tf.constant(seed))

    def validation_step(self, batch, seed):
        return super().validation_step(batch, tf.constant(seed))


@pytest.mark.parametrize("case", CASES)
def test_same_losses_and_weights_as_tensorflow(case, tmp_path):
    networks = make_networks(case)
    for name, network in networks.items():
        network.save_weights(tmp_path / f"{name}.weights.h5")
    before = {name: network.get_weights() for name, network in networks.items()}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.training.jax_steps", case, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    expected = take_steps(case, networks, _Trainer)
    rows = json.loads((tmp_path / "jax.json").read_text())
    for ours, theirs in zip(rows, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    for name, network in networks.items():
        on_tensorflow = network.get_weights()
        network.load_weights(tmp_path / f"jax-{name}.weights.h5")
        pairs = list(zip(network.get_weights(), on_tensorflow, before[name], strict=True))
        moved = sum(np.abs(new - old).sum() for _, new, old in pairs)
        apart = sum(np.abs(new - jax).sum() for jax, new, _ in pairs)
        # Adam's first steps are as long where the gradient is rounding as elsewhere.
        assert apart < 0.02 * moved, name
