"""The time that a training took, by the record of its steps."""

import pytest

from xctrs_tf.training.history import training_seconds


def row(step, seconds=None, kind="training"):
    return {"step": step, "kind": kind, **({} if seconds is None else {"seconds": seconds})}


def test_all_steps_count_by_the_mean_of_the_recorded_ones():
    rows = [row(20, 1.0), row(40, 2.0), row(40, kind="validation"), row(50)]
    assert training_seconds(rows) == 50 * 1.5
    assert training_seconds([]) == training_seconds([row(20)]) == 0.0


def test_a_step_during_which_the_machine_was_suspended_does_not_count():
    rows = [row(20 * number, 1.0) for number in range(1, 10)]
    assert training_seconds([*rows, row(200, 1600.0)]) == pytest.approx(200.0)
