"""Signals to a run: the first requests a stop, the second aborts."""

import errno
import io
import os
import signal
import sys

import pytest
from tqdm import tqdm

from tests.training import processes
from tests.training.toys import toy_config
from xctrs_tf.training import checkpoints
from xctrs_tf.training.interruption import StopRequest, end_like_ctrl_c


def _send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_a_terminal_that_closes_may_send_sighup_more_than_once():
    with StopRequest() as stop:
        _send(signal.SIGTERM)
        _send(signal.SIGHUP)
        _send(signal.SIGHUP)
        assert stop.made


def test_nohup_keeps_ignoring_sighup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            _send(signal.SIGHUP)
            assert not stop.made
        end_like_ctrl_c()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_messages_to_a_terminal_that_is_gone_are_dropped(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text=""):
            raise OSError(errno.EIO, "Input/output error")

        flush = write

    monkeypatch.setattr(sys, "stderr", Gone())
    with StopRequest():
        tqdm.write("stopped", file=sys.stderr)
        with tqdm(total=2, mininterval=0) as bar:
            bar.update()
    with pytest.raises(OSError, match="Input/output error"):
        sys.stderr.write("outside")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_outside_a_run_a_signal_acts_like_ctrl_c(number):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        end_like_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            _send(number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
        (2, [signal.SIGHUP, signal.SIGHUP], processes.STOPPED, "step-00000002"),
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
