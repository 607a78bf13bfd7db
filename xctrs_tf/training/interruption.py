"""SIGINT and SIGTERM as a request to stop, on which a run acts between steps."""

import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """End of a run before its last step; the same command resumes it."""


class StopRequest:
    """Context manager that notes the signals that arrive while it is entered.

    The first signal sets `made`; a second one raises KeyboardInterrupt.

    Attributes:
        made: whether there was a signal.
    """

    def __init__(self):
        self.made = False

    def __enter__(self):
        self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        del number, frame
        if self.made:
            raise KeyboardInterrupt
        self.made = True
