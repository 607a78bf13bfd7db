"""SIGINT, SIGTERM and SIGHUP as a request to stop, on which a run acts between steps."""

import contextlib
import signal
import sys

# A terminal that closes, or a connection that is lost, sends SIGHUP.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """End of a run before its last step; the same command resumes it."""


class StopRequest:
    """Context manager that notes the signals that arrive while it is entered.

    The first signal sets `made`; a second one raises KeyboardInterrupt, unless it is
    SIGHUP, which terminals and shells send together. Under nohup SIGHUP stays ignored.
    Messages to a terminal that is gone are dropped.

    Attributes:
        made: whether there was a signal.
    """

    def __init__(self):
        self.made = False

    def __enter__(self):
        self._previous = {number: signal.signal(number, self._on_signal) for number in _heeded()}
        self._stderr = contextlib.redirect_stderr(_Lossy(sys.stderr))
        self._stderr.__enter__()
        return self

    def __exit__(self, *exception):
        self._stderr.__exit__(*exception)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        del frame
        if self.made and number != signal.SIGHUP:
            raise KeyboardInterrupt
        self.made = True


def end_like_ctrl_c():
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does."""
    for number in _heeded():
        if number != signal.SIGINT:
            signal.signal(number, signal.default_int_handler)


def _heeded():
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [number for number in _SIGNALS if number != signal.SIGHUP or hangs_up]


class _Lossy:
    """A text stream that drops what it cannot write."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)
