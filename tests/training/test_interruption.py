"""Signals to a run: the first requests a stop, the second aborts."""

import os
import signal

import pytest

from tests.training import processes
from tests.training.toys import toy_config
from xctrs_tf.training import checkpoints
from xctrs_tf.training.interruption import StopRequest


def _send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_a_stop_and_handlers_are_restored(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.made
        _send(number)
        assert stop.made
    assert signal.getsignal(number) is before


def test_a_second_signal_aborts():
    with StopRequest() as stop:
        _send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            _send(signal.SIGINT)
        assert stop.made


def _train_with_signals(config, run, step, signals):
    def before(loop):
        check = loop._Loop._require_finite

        def signalled(self, number, scalars):
            check(self, number, scalars)
            if number == step:
                for each in signals:
                    _send(each)

        loop._Loop._require_finite = signalled

    processes.train(config, run, before)


@pytest.mark.parametrize(
    ("step", "signals", "status", "checkpoint"),
    [
        (1, [signal.SIGTERM], processes.STOPPED, "step-00000001"),
        (2, [signal.SIGINT], processes.STOPPED, "step-00000002"),
        (2, [signal.SIGINT, signal.SIGINT], processes.ABORTED, None),
    ],
)
def test_one_signal_loses_nothing_and_two_end_without_a_checkpoint(
    data, tmp_path, step, signals, status, checkpoint
):
    run, config = tmp_path / "run", toy_config(data, checkpoint_every=6)
    process = processes.start(_train_with_signals, config, run, step, signals)
    assert processes.status(process) == status
    latest = checkpoints.latest(run)
    assert (latest and latest.name) == checkpoint
