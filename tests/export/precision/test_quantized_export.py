"""Exports whose weights are stored in half the space."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export.runs import SIZE, read_metadata, toy_run
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.exported_model import find_export


def narrow_run(path):
    """Return a run whose networks are small enough to export in seconds."""
    films = {view: keras.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
    keras.utils.set_random_seed(1)
    features = keras.layers.Dense(256)(films["ap"][:, :, None] * films["la"][:, None])
    ct = keras.layers.Dense(1)(keras.layers.Dense(256, activation="tanh")(features))
    return dataclasses.replace(
        toy_run(path, segmented=False), reconstruction=keras.Model(films, ct)
    )


def stored_bytes(folder):
    return sum(file.stat().st_size for file in (folder / "variables").glob("*.data*"))


def test_float16_halves_the_weights_and_nothing_else(tmp_path):
    run = narrow_run(tmp_path / "run")
    whole, half = (export_run(run, tmp_path / "models", q) for q in (None, "float16"))
    assert stored_bytes(half) < 0.52 * stored_bytes(whole)
    difference = read_metadata(half)["weights"]["largest_differences"]["serving_default: ct"]
    assert 1e-6 < difference < 0.05
    assert read_metadata(half)["weights"]["quantize"] == "float16"

    rng = np.random.default_rng(2)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    network = run.reconstruction
    network.set_weights([weight.astype(np.float16) for weight in network.get_weights()])
    expected = np.asarray(network(films, training=False)).clip(0, 1)
    assert np.ptp(expected) > 0.02
    signature = find_export(half).load()
    outputs = signature(**{view: tf.constant(film) for view, film in films.items()})
    assert outputs["ct"].dtype == tf.float32
    np.testing.assert_allclose(outputs["ct"], expected, rtol=0, atol=1e-5)


def test_weights_that_float16_cannot_hold(tmp_path):
    run = narrow_run(tmp_path / "run")
    weights = run.reconstruction.get_weights()
    run.reconstruction.set_weights([1e7 * weights[0], *weights[1:]])
    with pytest.raises(UserError, match=r"--quantize=float16: .* differs by .*; export without it"):
        export_run(run, tmp_path / "models", "float16")
    assert not (tmp_path / "models").exists()
