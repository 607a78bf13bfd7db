"""Progress of long work: silence at first, then lines in a log or one line on a terminal."""

import contextlib
import io
import itertools
import sys
import time

import pytest

from xctrs_tf import progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


class _Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def _until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(progress, "AFTER_S", 0.01)
    monkeypatch.setattr(progress, "EVERY_S", {True: 0.01, False: 0.01})


def test_short_work_says_nothing():
    stream = io.StringIO()
    with progress.stage("tracing", stream):
        pass
    assert stream.getvalue() == ""


def test_long_work_is_named_in_a_log(fast):
    stream = io.StringIO()
    with progress.stage("tracing", stream):
        _until(lambda: stream.getvalue().count("\n") > 2)
    lines = stream.getvalue().splitlines()
    assert set(lines) == {"tracing: 0 s"} and len(lines) > 2


def test_a_terminal_shows_it_on_one_line_that_is_ended(fast):
    stream = _Terminal()
    with progress.stage("tracing", stream):
        _until(lambda: stream.getvalue().count("\r") > 2)
    assert stream.getvalue().startswith("\rtracing: 0 s\rtracing: 0 s")
    assert stream.getvalue().count("\n") == 1 and stream.getvalue().endswith("\n")


@pytest.mark.parametrize(("seconds", "words"), [(6.4, ", about 6 s left"), (None, "")])
def test_the_time_left_is_said_as_far_as_it_is_known(fast, seconds, words):
    stream = io.StringIO()
    with progress.stage("tracing", stream, left=lambda: seconds):
        _until(lambda: stream.getvalue().count("\n") > 1)
    assert set(stream.getvalue().splitlines()) == {f"tracing: 0 s{words}"}


def test_a_shorter_line_hides_the_one_before_on_a_terminal(fast):
    stream, left = _Terminal(), iter([12.0, 3.0])
    with progress.stage("tracing", stream, left=lambda: next(left, None)):
        _until(lambda: stream.getvalue().count("\r") > 3)
    lines = stream.getvalue().split("\r")[1:5]
    assert [line.rstrip() for line in lines[:3]] == [
        "tracing: 0 s, about 12 s left",
        "tracing: 0 s, about 3 s left",
        "tracing: 0 s",
    ]
    for before, after in itertools.pairwise(lines):
        assert len(after) >= len(before.rstrip())


def test_it_ends_with_an_error_of_the_work(fast):
    stream = io.StringIO()
    with contextlib.suppress(KeyError), progress.stage("tracing", stream):
        _until(stream.getvalue)
        raise KeyError
    said = stream.getvalue()
    time.sleep(0.1)
    assert stream.getvalue() == said


def test_a_stream_that_is_gone_ends_no_work(fast):
    with progress.stage("tracing", _Gone()):
        time.sleep(0.1)


@pytest.mark.parametrize(("after_s", "shown"), [(0.0, True), (1e6, False)])
def test_a_bar_is_seen_in_a_log_once_the_work_is_long(monkeypatch, after_s, shown):
    monkeypatch.setattr(progress, "AFTER_S", after_s)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress.progress_bar([1, 2], "reading")) == [1, 2]
    lines = sys.stderr.getvalue().splitlines()
    assert all(line.startswith("reading: ") for line in lines)
    assert (lines[-1:] != [] and "100%" in lines[-1]) == shown
