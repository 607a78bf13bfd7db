"""SIGINT and SIGTERM as a request that a run looks at when it can."""

import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run ended before its last step, and the same command goes on with it."""


class _Cut(BaseException):
    """Ends what `StopRequest.unless_made` calls; no library may take it for an error of its own."""


class StopRequest:
    """Notes the signals that arrive while it is entered.

    Attributes:
        made: whether there was one.
    """

    def __init__(self):
        self.made = False
        self._may_cut = False

    def __enter__(self):
        self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        del number, frame
        if self.made:  # asked twice: do not wait for the checkpoint
            raise KeyboardInterrupt
        self.made = True
        if self._may_cut:
            raise _Cut

    def unless_made(self, function):
        """Call something that takes long and changes nothing; a signal leaves it where it is.

        Args:
            function: without arguments.

        Returns:
            Its result, or None if there was a signal before its end.
        """
        try:
            self._may_cut = True
            return None if self.made else function()
        except _Cut:
            return None
        finally:
            self._may_cut = False
