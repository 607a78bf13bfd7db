"""Early stopping of runs without a lower validation loss."""

import shutil

import numpy as np
import pytest

from tests.training.toys import toy_config, toy_weights
from xctrs_tf.errors import UserError
from xctrs_tf.training import checkpoints, loop
from xctrs_tf.training.history import read_history
from xctrs_tf.training.run import load_run
from xctrs_tf.training.validation import Validation

pytestmark = pytest.mark.usefixtures("toy_runs")


def _config(data, **changes):
    # So small a rate changes no weight, so the first validation remains the best.
    still = {"learning_rate": 1e-30, "steps": 12, "validate_every": 1}
    return toy_config(data, **still | changes)


def _steps_validated(run):
    return [row["step"] for row in read_history(run) if row["kind"] == "validation"]


def test_ends_after_so_many_validations_without_gain_and_stays_ended(data, tmp_path, capsys):
    run = tmp_path / "run"
    loop.train(_config(data, patience=2), run)
    assert _steps_validated(run) == [1, 2, 3]
    assert checkpoints.latest(run).name == "step-00000003"
    assert "ended early at step 3, after 2 validations without a lower loss" in (
        capsys.readouterr().err
    )
    loop.train(_config(data, patience=2), run)
    assert _steps_validated(run) == [1, 2, 3]
    assert "ended early at step 3" in capsys.readouterr().err
    loop.train(_config(data, patience=4), run)
    assert _steps_validated(run) == [1, 2, 3, 4, 5]


def test_a_run_that_converges_at_its_last_step_has_all_its_steps(data, tmp_path, capsys):
    loop.train(_config(data, patience=2, steps=3), tmp_path / "run")
    assert "ended early" not in capsys.readouterr().err


def test_the_count_survives_an_interruption(data, tmp_path):
    run = tmp_path / "run"
    loop.train(_config(data, patience=3, steps=3), run)
    loop.train(_config(data, patience=3), run)
    assert _steps_validated(run) == [1, 2, 3, 4]


def test_a_lower_loss_starts_the_count_anew(data, tmp_path, monkeypatch):
    losses = iter([5.0, 6.0, 4.0, 4.0, 4.5])

    def validate(*_, **__):
        return Validation({"loss": next(losses)})

    monkeypatch.setattr(loop, "validate", validate)
    loop.train(_config(data, patience=2), tmp_path / "run")
    assert _steps_validated(tmp_path / "run") == [1, 2, 3, 4, 5]


def test_averages_are_what_is_validated_kept_and_loaded(data, tmp_path):
    run, plain = tmp_path / "run", tmp_path / "plain"
    moving = {"learning_rate": 1e-2, "steps": 3, "validate_every": 3, "batch_size": 2}
    loop.train(_config(data, ema_momentum=0.9, **moving), run)
    loop.train(_config(data, **moving), plain)
    last = "checkpoints/step-00000003"
    trained = toy_weights(run / last)
    np.testing.assert_array_equal(trained, toy_weights(plain / last))
    averages = toy_weights(run / "best")
    assert np.abs(averages - trained).max() > 1e-3
    for checkpoint in ("best", "last"):
        loaded = load_run(run, checkpoint)
        networks = (loaded.reconstruction, loaded.segmentation)
        values = np.concatenate([w.ravel() for n in networks for w in n.get_weights()])
        np.testing.assert_allclose(values, averages, rtol=1e-6)


def test_best_weights_without_a_checkpoint_are_not_replaced(data, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    losses = iter([5.0, 6.0, 4.0, 4.0, 4.5])
    monkeypatch.setattr(loop, "validate", lambda *_, **__: Validation({"loss": next(losses)}))
    loop.train(_config(data, patience=2), run)
    history = read_history(run)
    # As in a handover of a finished job.
    shutil.rmtree(run / "checkpoints")
    best = toy_weights(run / "best")
    loop.train(_config(data, patience=2), run)
    assert f"{run}: ended early at step 5" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"no whole checkpoint is left .* weights, of step 3; eval"):
        loop.train(_config(data, patience=4), run)
    assert read_history(run) == history
    assert checkpoints.read_state(run / "best")["step"] == 3
    np.testing.assert_array_equal(toy_weights(run / "best"), best)


def test_a_run_before_its_first_checkpoint_begins_anew(data, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_step", killed)
        with pytest.raises(KeyboardInterrupt):
            loop.train(_config(data, steps=4), run)
    assert _steps_validated(run) == [1, 2] and (run / "best").exists()
    loop.train(_config(data, steps=3), run)
    assert _steps_validated(run) == [1, 2, 3]
    assert checkpoints.latest(run).name == "step-00000003"


@pytest.mark.parametrize(
    ("first", "then"),
    [({"steps": 2}, {"steps": 3}), ({"patience": 1}, {"patience": 4})],
    ids=["all steps", "early"],
)
def test_a_short_finished_run_without_checkpoints_does_not_begin_anew(data, tmp_path, first, then):
    """As in a handover of a finished job, which had no checkpoint on the way."""
    run = tmp_path / "run"
    loop.train(_config(data, checkpoint_every=9, **first), run)
    shutil.rmtree(run / "checkpoints")
    weights, history = _weights_and_history(run)
    config = (run / "config.json").read_bytes()
    for _ in range(2):
        with pytest.raises(UserError, match=r"no whole checkpoint is left .* weights, of step 1"):
            loop.train(_config(data, checkpoint_every=9, **then), run)
    np.testing.assert_array_equal(_weights_and_history(run)[0], weights)
    assert _weights_and_history(run)[1] == history
    assert (run / "config.json").read_bytes() == config


def _weights_and_history(run):
    return toy_weights(run / "best"), read_history(run)


# By step. The lowest ones are off the schedule.
LOSSES = {1: 1.0, 3: 5.0, 4: 1.0, 6: 4.0, 7: 1.0, 9: 4.5, 10: 1.0, 12: 4.6}


@pytest.fixture
def time_is_up(monkeypatch):
    """Losses of `LOSSES`; the time of a run is up at the steps in this set."""
    steps, check = set(), loop._Loop._require_finite

    def checked(self, step, scalars):
        check(self, step, scalars)
        self.deadline = -np.inf if step in steps else np.inf

    def validate(trainer, *_, **__):
        return Validation({"loss": LOSSES[int(trainer.optimizers["optimizer"].iterations)]})

    monkeypatch.setattr(loop._Loop, "_require_finite", checked)
    monkeypatch.setattr(loop, "validate", validate)
    return steps


def _outcome(run):
    state = checkpoints.read_state(checkpoints.latest(run))
    validations = [row for row in read_history(run) if row["kind"] == "validation"]
    counts = {name: state[name] for name in ("step", "best_loss", "without_gain", "validated")}
    return checkpoints.read_state(run / "best")["step"], validations, counts


@pytest.mark.parametrize("ends", [{4}, {3}, {7, 10}, {1}])
def test_a_run_in_parts_chooses_as_a_whole_one_does(data, tmp_path, time_is_up, ends):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config = _config(data, validate_every=3, patience=2, steps=20)
    loop.train(config, whole)
    best, validations, counts = _outcome(whole)
    assert best == 6 and [row["step"] for row in validations] == [3, 6, 9, 12]
    assert counts == {"step": 12, "best_loss": 4.0, "without_gain": 2, "validated": 12}
    time_is_up.update(ends)
    for end in sorted(ends):
        loop.train(config, parts)
        assert checkpoints.latest(parts).name == f"step-{end:08d}"
    loop.train(config, parts)
    assert _outcome(parts) == _outcome(whole)


def test_a_run_whose_time_is_up_has_best_weights(data, tmp_path, time_is_up):
    run, config = tmp_path / "run", _config(data, validate_every=3)
    time_is_up.add(1)
    loop.train(config, run)
    best = checkpoints.read_state(run / "best")
    assert (best["step"], best["validation"]) == (1, {"loss": 1.0})
    assert _steps_validated(run) == []
    # They count once the run is to end there.
    loop.train(_config(data, validate_every=3, steps=1), run)
    assert _outcome(run)[0] == 1 and _steps_validated(run) == [1]


@pytest.mark.parametrize("steps", [2, 6])
def test_a_finished_run_without_checkpoints_stays_finished(data, tmp_path, capsys, steps):
    """Its first validation is its best, and comes no later than a first checkpoint."""
    run, config = tmp_path / "run", _config(data, steps=steps, checkpoint_every=2)
    loop.train(config, run)
    assert checkpoints.read_state(run / "best")["step"] == 1
    weights, history = _weights_and_history(run)
    shutil.rmtree(run / "checkpoints")
    loop.train(config, run)
    assert f"{run}: all {steps} steps are done" in capsys.readouterr().err
    np.testing.assert_array_equal(_weights_and_history(run)[0], weights)
    assert _weights_and_history(run)[1] == history


def test_an_early_best_step_does_not_hide_that_the_checkpoints_are_gone(data, tmp_path):
    run, config = tmp_path / "run", _config(data, steps=6, checkpoint_every=2)
    loop.train(config, run)
    weights, history = _weights_and_history(run)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match=r"no whole checkpoint is left .* weights, of step 1; eval"):
        loop.train(_config(data, steps=8, checkpoint_every=2), run)
    np.testing.assert_array_equal(_weights_and_history(run)[0], weights)
    assert _weights_and_history(run)[1] == history
