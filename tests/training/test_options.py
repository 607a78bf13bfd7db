"""Options of the training step: accumulation, clipping, averages, precision."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import CONFIG, TOY_VGG, toy_batch, toy_networks
from xctrs_tf.errors import UserError
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.run_record import read_config
from xctrs_tf.training.step.optimizer import make_optimizer
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer


def _config(**changes):
    return dataclasses.replace(CONFIG, data="DATA", **changes)


def _trainer(config, make=make_optimizer):
    return Trainer(
        toy_networks(config),
        make_objective(config),
        lambda: make(config),
        config.accumulation,
        config.remat,
    )


def _values(trainer):
    return [variable.numpy() for variable in trainer.variables]


def _plain_descent(trainer, monkeypatch):
    """Make the update equal to the gradient, since Adam hides the length of gradients."""
    optimizer = trainer.optimizers["optimizer"]

    def step(gradient, variable, learning_rate):
        del learning_rate
        variable.assign_sub(gradient)

    monkeypatch.setattr(optimizer, "update_step", step)


def _update(config, monkeypatch, batch):
    trainer = _trainer(config)
    _plain_descent(trainer, monkeypatch)
    before = _values(trainer)
    scalars = trainer.train_step(batch, tf.constant(3))
    update = [old - new for old, new in zip(before, _values(trainer), strict=True)]
    return update, {name: float(value) for name, value in scalars.items()}


def test_parts_of_a_batch_give_the_update_of_the_whole(monkeypatch):
    batch = toy_batch(batch_size=6, vgg_slices=2)
    whole, scalars = _update(_config(batch_size=6, **TOY_VGG), monkeypatch, batch)
    in_parts = _config(batch_size=6, accumulation=3, **TOY_VGG)
    parts, of_parts = _update(in_parts, monkeypatch, batch)
    assert "vgg" in scalars
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)
    assert of_parts == pytest.approx(scalars, rel=1e-5)
    # The patients differ, so that a single part would give another update.
    first = {name: value if name == "vgg_planes" else value[:2] for name, value in batch.items()}
    alone, _ = _update(_config(batch_size=2, **TOY_VGG), monkeypatch, first)
    assert any(
        not np.allclose(a, w, rtol=1e-2, atol=1e-5) for a, w in zip(alone, whole, strict=True)
    )


def test_clip_norm_shortens_all_gradients_together(monkeypatch):
    free, _ = _update(_config(), monkeypatch, toy_batch())
    norm = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in free))
    clipped, _ = _update(_config(clip_norm=float(norm) / 4), monkeypatch, toy_batch())
    for one, other in zip(free, clipped, strict=True):
        np.testing.assert_allclose(other, one / 4, rtol=1e-3, atol=1e-6)
    unclipped, _ = _update(_config(clip_norm=float(norm) * 4), monkeypatch, toy_batch())
    for one, other in zip(free, unclipped, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


def test_averages_follow_the_recurrence_and_leave_training_alone():
    trainer, plain = _trainer(_config(ema_momentum=0.75)), _trainer(_config())
    expected = None
    for step in range(4):
        for each in (trainer, plain):
            each.train_step(toy_batch(step), tf.constant(step))
        new = _values(trainer)
        if expected is None:
            expected = new
        expected = [0.75 * old + 0.25 * value for old, value in zip(expected, new, strict=True)]
    with trainer.averaged_weights():
        for value, average in zip(_values(trainer), expected, strict=True):
            np.testing.assert_allclose(value, average, rtol=1e-5, atol=1e-7)
            assert not np.array_equal(value, new)
    for value, trained, other in zip(_values(trainer), new, _values(plain), strict=True):
        np.testing.assert_array_equal(value, trained)
        np.testing.assert_array_equal(value, other)


def test_averages_come_back_with_the_optimizer():
    trainer = _trainer(_config(ema_momentum=0.5))
    for step in range(2):
        trainer.train_step(toy_batch(step), tf.constant(step))
    saved = {}
    trainer.optimizers["optimizer"].save_own_variables(saved)
    other = _trainer(_config(ema_momentum=0.5, seed=7))
    other.optimizers["optimizer"].load_own_variables(saved)
    with trainer.averaged_weights(), other.averaged_weights():
        for one, two in zip(_values(trainer), _values(other), strict=True):
            np.testing.assert_array_equal(one, two)


def test_float16_skips_an_update_that_overflows_and_halves_the_scale():
    keras.config.set_dtype_policy("mixed_float16")
    trainer = _trainer(_config(precision="mixed_float16"))
    before = _values(trainer)
    batch = toy_batch()
    batch["ap"] = np.full_like(batch["ap"], np.inf)
    trainer.train_step(batch, tf.constant(0))
    for old, new in zip(before, _values(trainer), strict=True):
        np.testing.assert_array_equal(old, new)
    optimizer = trainer.optimizers["optimizer"]
    assert float(optimizer.dynamic_scale) == optimizer.initial_scale / 2
    trainer.train_step(toy_batch(), tf.constant(0))
    assert any((a != b).any() for a, b in zip(before, _values(trainer), strict=True))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_gradients_and_losses_are_float32_and_unscaled_for_the_clip(precision, accumulation):
    seen = []

    def make(config):
        optimizer = make_optimizer(config)
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        clip = inner._clip_gradients
        inner._clip_gradients = lambda gradients: seen.extend(gradients) or clip(gradients)
        return optimizer

    keras.config.set_dtype_policy(precision)
    config = _config(precision=precision, accumulation=accumulation, clip_norm=1e-3)
    trainer = _trainer(config, make)
    scalars = trainer.train_step(toy_batch(), tf.constant(0))
    assert {value.dtype for value in scalars.values()} == {tf.float32}
    assert len(seen) == len(trainer.variables)
    assert {gradient.dtype for gradient in seen} == {tf.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulation": 0}, "--accumulation=0: must be above 0"),
        ({"clip_norm": -1.0}, "--clip_norm=-1.0: must be 0 or more"),
        ({"ema_momentum": 1.0}, "--ema_momentum=1.0: must be from 0 to below 1"),
        ({"film_normalization": "ranks"}, "--film_normalization=ranks: must be one of percentile"),
        (
            {"film_normalization": "equalized", "augment": "mirror,histogram"},
            "--augment=histogram: no curve changes films",
        ),
        ({"patience": -1}, "--patience=-1: must be 0 or more"),
        ({"seed": 2**32}, "--seed=4294967296: must be below 4294967296"),
        ({"width": math.inf}, "--width=inf: must be finite"),
        ({"width": 1e9}, "--width=1000000000.0: must be at most 64"),
        ({"learning_rate": math.inf}, "--learning_rate=inf: must be finite"),
        ({"strategy": "ring"}, "--strategy=ring: must be one of single, mirrored, multi_worker"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        _config(**changes).check()


def test_a_configuration_without_these_options_is_read():
    record = TrainingConfig(data="DATA").to_json()
    new = ("accumulation", "clip_norm", "ema_momentum", "patience", "remat", "strategy")
    for name in (*new, "deterministic"):
        del record[name]
    assert TrainingConfig(**record) == TrainingConfig(data="DATA")


def test_a_run_from_before_the_choice_of_a_normalisation_has_percentiles(tmp_path):
    record = {"training": TrainingConfig(data="DATA").to_json(), "data_sha256": "0" * 64}
    del record["training"]["film_normalization"]
    (tmp_path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    assert read_config(tmp_path).film_normalization == "percentile"
