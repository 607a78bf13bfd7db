"""The training step."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import CONFIG, toy_batch, toy_networks
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.step.optimizer import make_optimizer
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer


def _trainer(config=CONFIG):
    return Trainer(toy_networks(config), make_objective(config), lambda: make_optimizer(config))


def test_is_traced_exactly_once():
    trainer = _trainer()
    for step in range(4):
        batch = {name: tf.constant(value) for name, value in toy_batch(step).items()}
        trainer.train_step(batch, tf.constant(step))
    assert trainer.num_traces == 1


def test_returns_float32_scalars_and_lowers_the_loss():
    trainer = _trainer(dataclasses.replace(CONFIG, learning_rate=0.02))
    losses = []
    for step in range(15):
        scalars = trainer.train_step(toy_batch(), tf.constant(step))
        losses.append(float(scalars["loss"]))
    assert scalars.keys() == {"loss", "mae", "dice", "rsc_segmentation", "rsc_divergence"}
    assert all(value.dtype == tf.float32 and value.shape == () for value in scalars.values())
    assert losses[-1] < losses[0] - 0.1


def test_one_step_moves_both_networks():
    trainer = _trainer()
    before = [variable.numpy() for variable in trainer.variables]
    trainer.train_step(toy_batch(), tf.constant(0))
    paths = [
        v.path for v, old in zip(trainer.variables, before, strict=True) if (v == old).numpy().all()
    ]
    assert paths == []


def test_without_segmentation_terms_only_the_reconstruction_learns():
    trainer = _trainer(dataclasses.replace(CONFIG, dice_weight=0.0, rsc_weight=0.0))
    scalars = trainer.train_step(toy_batch(), tf.constant(0))
    assert scalars.keys() == {"loss", "mae"}
    _, ct, labels = trainer.validation_step(toy_batch())
    assert ct.shape == (2, 32, 32, 32, 1)
    assert labels is None


def test_validation_changes_nothing_and_labels_by_the_largest_probability():
    trainer = _trainer()
    before = [variable.numpy() for variable in trainer.variables]
    _, ct, labels = trainer.validation_step(toy_batch())
    for variable, old in zip(trainer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)
    probabilities = trainer.networks["segmentation"](ct)
    np.testing.assert_array_equal(labels, np.argmax(probabilities, axis=-1))
    assert labels.dtype == tf.uint8


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_steps_like_full_precision(precision):
    losses = {}
    for policy in ("float32", precision):
        keras.config.set_dtype_policy(policy)
        trainer = _trainer(dataclasses.replace(CONFIG, precision=policy))
        for step in range(3):
            losses[policy] = float(trainer.train_step(toy_batch(), tf.constant(step))["loss"])
    assert losses[precision] == pytest.approx(losses["float32"], rel=0.02)


def test_float16_scales_the_loss():
    optimizer = make_optimizer(dataclasses.replace(CONFIG, precision="mixed_float16"))
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def test_cosine_schedule_ends_at_zero():
    config = dataclasses.replace(CONFIG, schedule="cosine", steps=10)
    optimizer = make_optimizer(config)
    optimizer.build([keras.Variable(0.0)])
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    optimizer.iterations.assign(10)
    assert float(optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
