"""Progress of tracing a training step, part by part, and the time that is left."""

import contextlib
import dataclasses
import types

import pytest
import tensorflow as tf

from tests.training.toys import CONFIG, toy_batch, toy_config, toy_networks
from xctrs_tf.training import loop
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.step.optimizer import make_optimizer
from xctrs_tf.training.tensorflow import trace_progress
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

WEIGHTS = 4


def test_each_part_is_counted():
    progress = trace_progress.TraceProgress(WEIGHTS)
    weights = [tf.Variable(2.0) for _ in range(WEIGHTS)]
    shares = {"forward": [], "backward": [], "updates": []}

    def note(part):
        shares[part].append(progress.share())

    @tf.custom_gradient
    def noted(x):
        def backward(gradient):
            note("backward")
            return gradient

        return tf.identity(x), backward

    @tf.function
    def step(x):
        progress.begin_passes()
        with tf.GradientTape() as tape:
            for weight in weights:
                x = noted(x * weight)
                note("forward")
        gradients = tape.gradient(x, weights)
        progress.begin_updates()
        for weight, gradient in zip(weights, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=0.1, delta=gradient)
            note("updates")

    assert progress.share() == 0
    step.get_concrete_function(tf.constant(1.0))
    parts = [(i + 1) / WEIGHTS for i in range(WEIGHTS)]
    assert shares["forward"] == pytest.approx([0.4 * each for each in parts])
    assert shares["updates"] == pytest.approx([0.8 + 0.2 * each for each in parts])
    # Noted from the last product to the first, each before its gradient.
    back = shares["backward"]
    assert back == sorted(set(back)) and len(back) == WEIGHTS
    assert back[0] == pytest.approx(0.4) and 0.6 < back[-1] < 0.8


def test_the_rest_is_told_in_proportion_once_there_is_enough(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(trace_progress, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    progress = trace_progress.TraceProgress(1)
    assert progress.seconds_left() is None
    with tf.Graph().as_default():
        progress.begin_passes()
    now[0] += 3.0
    told = {}
    for share in (0.0, 0.05, 0.25, 0.5, 1.0):
        monkeypatch.setattr(progress, "share", lambda share=share: share)
        told[share] = progress.seconds_left()
    assert told == {0.0: None, 0.05: None, 0.25: 9.0, 0.5: 3.0, 1.0: None}


@pytest.mark.parametrize(("changes", "known"), [({}, True), ({"remat": True}, False)])
def test_a_trainer_tells_it_while_it_traces(monkeypatch, changes, known):
    config = dataclasses.replace(CONFIG, **changes)
    trainer = Trainer(
        toy_networks(config),
        make_objective(config),
        lambda: make_optimizer(config),
        remat=config.remat,
    )
    told = [trainer.seconds_left_to_trace()]
    optimizer = trainer.optimizers["optimizer"]
    update = optimizer.update_step

    def step(*arguments):
        told.append(trainer.seconds_left_to_trace())
        update(*arguments)

    monkeypatch.setattr(optimizer, "update_step", step)
    trainer.trace(toy_batch())
    assert [each is not None for each in told] == [False] + [known] * len(trainer.variables)
    assert trainer.seconds_left_to_trace() is None


@pytest.mark.usefixtures("toy_runs")
def test_the_stage_of_tracing_asks_the_trainer(data, tmp_path, monkeypatch):
    asked = {}

    def stage(description, left=None):
        asked[description] = left
        return contextlib.nullcontext()

    monkeypatch.setattr(loop, "stage", stage)
    loop.train(toy_config(data, steps=1), tmp_path / "run")
    assert asked.pop("tracing the training step").__name__ == "seconds_left_to_trace"
    assert set(asked.values()) == {None}
