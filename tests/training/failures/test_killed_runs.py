"""Killed and stopped runs end like an uninterrupted run."""

import os
import random
import signal

import numpy as np
import pytest

from tests.training import processes
from tests.training.toys import CONFIG, toy_config, toy_weights
from xctrs_tf.training import checkpoints, loop
from xctrs_tf.training.history import read_history
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

pytestmark = pytest.mark.usefixtures("toy_runs")


def _train_and_die(config, run, moment, step):
    processes.train(config, run, lambda loop: processes.kill_at(loop, moment, step))


def _kill_points(last):
    """Yield five random steps in increasing order, each with a moment at which to kill."""
    rng = random.Random(6)
    for step in sorted(rng.sample(range(1, last + 1), 5)):
        moments = ["after"]
        moments += ["validating"] * (step % CONFIG.validate_every == 0)
        moments += ["saving"] * (step % CONFIG.checkpoint_every == 0)
        yield rng.choice(moments), step


def _rows(run):
    return [{**row, "seconds": None} for row in read_history(run)]


def test_a_run_killed_five_times_ends_like_one_that_was_not(data, tmp_path):
    config = toy_config(data, steps=9, ema_momentum=0.5, augment="mirror", deterministic=True)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert processes.status(processes.start(processes.train, config, whole)) == processes.FINISHED
    points = list(_kill_points(config.steps))
    assert {moment for moment, _ in points} == {"after", "validating", "saving"}
    for moment, step in points:
        process = processes.start(_train_and_die, config, killed, moment, step)
        assert processes.status(process) == processes.KILLED, (moment, step)
    assert processes.status(processes.start(processes.train, config, killed)) == processes.FINISHED
    last = "checkpoints/step-00000009"
    for part in (last, "best"):
        np.testing.assert_array_equal(toy_weights(killed / part), toy_weights(whole / part))
    with (
        np.load(whole / last / "optimizer.npz") as one,
        np.load(killed / last / "optimizer.npz") as other,
    ):
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
    assert _rows(killed) == _rows(whole)


def _after_a_signal(function):
    def call(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return function(*args, **kwargs)

    return call


def _no_step(*_):
    raise AssertionError("a step was made after the signal")


def test_signal_while_the_step_is_traced_ends_the_run_before_it(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "trace", _after_a_signal(Trainer.trace))
        patch.setattr(loop._Loop, "_require_finite", _no_step)
        with pytest.raises(loop.Interrupted, match="stopped at step 0; the same command"):
            loop.train(toy_config(data), run)
    assert checkpoints.latest(run) is None
    loop.train(toy_config(data, steps=1), run)
    assert checkpoints.latest(run).name == "step-00000001"


def test_signal_in_a_validation_saves_and_the_next_start_makes_up_for_it(
    data, tmp_path, monkeypatch
):
    config = toy_config(data, ema_momentum=0.5)
    run, whole = tmp_path / "run", tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", _after_a_signal(loop.validate))
        with pytest.raises(loop.Interrupted, match="stopped at step 3; the same command"):
            loop.train(config, run)
    assert checkpoints.latest(run).name == "step-00000003"
    loop.train(config, run)
    loop.train(config, whole)
    assert [row["step"] for row in read_history(run) if row["kind"] == "validation"] == [3, 6]
    for part in ("checkpoints/step-00000006", "best"):
        np.testing.assert_allclose(
            toy_weights(run / part), toy_weights(whole / part), rtol=1e-5, atol=1e-6
        )


def test_signal_in_the_last_validation_leaves_it_to_the_next_start(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", _after_a_signal(loop.validate))
        with pytest.raises(loop.Interrupted, match="stopped at step 1"):
            loop.train(toy_config(data, steps=1), run)
    assert not (run / "best").exists()
    loop.train(toy_config(data, steps=1), run)
    assert (run / "best").exists()


def test_dropout_goes_on_where_it_was(tmp_path):
    import keras

    def network():
        keras.utils.set_random_seed(4)
        return keras.Sequential([keras.layers.Input((50,)), keras.layers.Dropout(0.5)])

    ones = np.ones((1, 50), np.float32)
    whole, resumed = network(), network()
    masks = [np.asarray(whole(ones, training=True)) for _ in range(3)]
    for _ in range(2):
        resumed(ones, training=True)
    checkpoints.save_step(tmp_path, 2, {"reconstruction": resumed}, {}, {})
    again = network()
    checkpoints.restore_latest(tmp_path, {"reconstruction": again}, {})
    np.testing.assert_array_equal(again(ones, training=True), masks[2])
    assert not np.array_equal(masks[2], masks[0])
