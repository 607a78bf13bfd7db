import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import CONFIG
from xctrs_tf.training import checkpoints
from xctrs_tf.training.step.base_trainer import BaseTrainer
from xctrs_tf.training.step.optimizer import make_optimizer

SHAPES = ((3, 2), (4,), ())


def _trained(optimizer, steps):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    optimizer.build(variables)

    @tf.function
    def apply(gradients):
        optimizer.apply(gradients, variables)

    for _ in range(steps):
        apply([tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES])
    slots = [variable.numpy() for variable in optimizer.variables]
    operations = [
        op.type
        for op in apply.get_concrete_function(
            [tf.TensorSpec(shape) for shape in SHAPES]
        ).graph.get_operations()
    ]
    return [variable.numpy() for variable in variables], slots, operations


@pytest.mark.parametrize(
    "changes",
    [{}, {"schedule": "cosine", "steps": 9}, {"clip_norm": 0.1}, {"ema_momentum": 0.5}],
    ids=str,
)
def test_updates_are_those_of_keras(changes):
    config = dataclasses.replace(CONFIG, beta_1=0.5, beta_2=0.99, **changes)
    rate = config.learning_rate
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.steps)
    theirs = keras.optimizers.Adam(
        rate,
        0.5,
        0.99,
        global_clipnorm=config.clip_norm or None,
        use_ema=config.ema_momentum > 0,
        ema_momentum=config.ema_momentum,
    )
    expected = _trained(theirs, steps=5)
    found = _trained(make_optimizer(config), steps=5)
    for ours, keras_own in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-7)


def test_update_of_a_variable_is_one_operation():
    _, _, operations = _trained(make_optimizer(CONFIG), steps=0)
    assert operations.count("ResourceApplyAdam") == len(SHAPES)
    # The numbers of Adam are there once, not for every variable.
    assert operations.count("Const") < 5 * len(SHAPES)
    assert len(operations) < 60


LINEAR = dataclasses.replace(CONFIG, schedule="constant_linear", steps=10)


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (4, 1.0), (5, 1.0), (6, 0.8), (9, 0.2), (10, 0.0), (11, 0.0)]
)
def test_rate_is_constant_for_half_of_the_steps_then_linear_to_zero(step, factor):
    optimizer = make_optimizer(LINEAR)
    optimizer.build([keras.Variable(0.0)])
    optimizer.iterations.assign(step)
    expected = factor * LINEAR.learning_rate
    assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-9)


def _trainer_of_a_pair():
    networks = {
        name: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name=name)
        for name in ("reconstruction", "discriminator")
    }
    return BaseTrainer(networks, None, lambda: make_optimizer(LINEAR))


def test_a_continued_run_keeps_the_rate_of_both_networks(tmp_path):
    begun = _trainer_of_a_pair()
    assert list(begun.optimizers) == ["optimizer", "discriminator_optimizer"]
    for optimizer in begun.optimizers.values():
        optimizer.iterations.assign(8)
    checkpoints.save(tmp_path / "last", begun.networks, begun.optimizers, {"step": 8})
    continued = _trainer_of_a_pair()
    checkpoints.load_optimizers(tmp_path / "last", continued.optimizers)
    for optimizer in continued.optimizers.values():
        assert float(optimizer.learning_rate) == pytest.approx(0.4 * LINEAR.learning_rate)
