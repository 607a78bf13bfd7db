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


def _adam_with_penalty(weights, gradients, rate, penalty):
    """Adam as in PyTorch, where the penalty is part of the gradient."""
    mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + penalty * weights
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        scale = np.sqrt(square / (1 - 0.999**step)) + 1e-7
        weights = weights - rate * mean / (1 - 0.9**step) / scale
    return weights


def _sgd_with_penalty(weights, gradients, rate, penalty):
    """SGD with momentum as in Caffe."""
    velocity = 0.0
    for gradient in gradients:
        velocity = 0.8 * velocity + rate * (gradient + penalty * weights)
        weights = weights - velocity
    return weights


@pytest.mark.parametrize(
    ("name", "reference"), [("adam", _adam_with_penalty), ("sgd", _sgd_with_penalty)]
)
def test_weight_decay_is_a_penalty_in_the_gradient(name, reference):
    config = dataclasses.replace(CONFIG, optimizer=name, momentum=0.8, weight_decay=0.3)
    rng = np.random.default_rng(0)
    before = [rng.normal(size=shape) for shape in SHAPES]
    gradients = [[rng.normal(size=shape) for shape in SHAPES] for _ in range(4)]
    after, _, _ = _trained(make_optimizer(config), steps=4)
    for index, found in enumerate(after):
        of_weight = [each[index] for each in gradients]
        expected = reference(before[index], of_weight, config.learning_rate, 0.3)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


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


def test_polynomial_rate_falls_to_zero_with_the_power_of_09():
    optimizer = make_optimizer(dataclasses.replace(CONFIG, schedule="polynomial", steps=10))
    optimizer.build([keras.Variable(0.0)])
    for step, factor in ((0, 1.0), (5, 0.5**0.9), (9, 0.1**0.9), (10, 0.0), (12, 0.0)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(factor * CONFIG.learning_rate)


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
