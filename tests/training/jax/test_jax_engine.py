"""Refusals of the JAX engine, whose module needs no JAX."""

import dataclasses

import pytest

from tests.training.toys import CONFIG
from xctrs_tf.errors import UserError
from xctrs_tf.training.jax import jax_engine


@pytest.fixture
def engine():
    """Function that makes the engine of a configuration with changes."""
    return lambda **changes: jax_engine.JaxEngine(dataclasses.replace(CONFIG, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "mirrored"}, "--strategy=mirrored: KERAS_BACKEND=jax trains on one device"),
        ({"batch_size": 3, "accumulation": 2}, "--batch_size=3: must be a multiple of"),
    ],
)
def test_what_one_device_cannot_do_is_refused(engine, changes, message):
    with pytest.raises(UserError, match=message):
        engine(**changes)


def test_reproducible_results_on_a_gpu_need_the_environment(engine, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    engine(deterministic=True)
    monkeypatch.setattr(jax_engine, "accelerators", lambda: ["NVIDIA H100"])
    with pytest.raises(UserError, match="--deterministic: on a GPU JAX needs XLA_FLAGS=--xla_gpu"):
        engine(deterministic=True)
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
    engine(deterministic=True)
