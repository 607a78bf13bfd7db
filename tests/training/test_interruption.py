"""Signals that arrive while no Python runs."""

import hashlib
import os
import signal
import threading
import time

import pytest

from tests.training import processes
from tests.training.toys import toy_config
from xctrs_tf.training import checkpoints, interruption
from xctrs_tf.training.interruption import StopRequest


def _call_that_hears_nothing(iterations=6_000_000):
    """Seconds in one call into a library, in which Python handles no signal."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", iterations)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(interruption, "_PATIENCE", 0.1)


def test_a_call_that_does_not_hear_the_signal_is_left(impatient):
    left = []
    with StopRequest() as stop:
        stop.leave = lambda: left.append(time.monotonic())
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        _call_that_hears_nothing()
        ended = time.monotonic()
    assert stop.made
    assert len(left) == 1 and left[0] < ended


def test_who_ends_in_time_is_not_left(impatient):
    left, threads = [], threading.active_count()
    with StopRequest() as stop:
        stop.leave = lambda: left.append(True)
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    assert stop.made and left == []
    assert threading.active_count() == threads


def _train_with_a_deaf_step(config, run, deaf):
    from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

    def before(loop):
        interruption._PATIENCE = 0.1
        train = loop.train

        class Deaf(Trainer):
            def trace(self, batch):
                pass

            def train_step(self, batch, step):
                scalars = super().train_step(batch, step)
                if step == deaf:
                    os.kill(os.getpid(), signal.SIGTERM)
                    _call_that_hears_nothing()
                return scalars

        loop.make_engine = _engine_of(Deaf, loop.make_engine)
        loop.train = lambda *arguments: train(*arguments, leave=lambda _: os._exit(77))

    processes.train(config, run, before)


def _engine_of(trainer_class, make_engine):
    def make(config):
        engine = make_engine(config)
        engine.make_trainer = trainer_class
        return engine

    return make


@pytest.mark.parametrize(
    ("deaf", "status", "checkpoint"), [(1, 77, None), (2, processes.STOPPED, "step-00000002")]
)
def test_a_run_is_left_only_while_nothing_is_lost(data, tmp_path, deaf, status, checkpoint):
    run, config = tmp_path / "run", toy_config(data, checkpoint_every=6)
    process = processes.start(_train_with_a_deaf_step, config, run, deaf)
    assert processes.status(process) == status
    latest = checkpoints.latest(run)
    assert (latest and latest.name) == checkpoint
