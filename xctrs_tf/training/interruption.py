"""SIGINT and SIGTERM as a request that a run looks at when it can."""

import os
import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds after a signal that a run which may be left has to end by itself.
_PATIENCE = 4.0


class Interrupted(Exception):
    """A run ended before its last step, and the same command goes on with it."""


class _Cut(BaseException):
    """Ends what `StopRequest.unless_made` calls; no library may take it for an error of its own."""


class StopRequest:
    """Notes the signals that arrive while it is entered.

    Attributes:
        made: whether there was one.
        leave: None, or a function that ends the process at once. Set it for as long
            as nothing would be lost: Python hears a signal only when the call under
            way returns to it, and TensorFlow prepares a large graph for minutes. It
            is called from another thread, `_PATIENCE` seconds after a signal.
    """

    def __init__(self):
        self.made = False
        self.leave = None
        self._may_cut = False

    def __enter__(self):
        self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._left = threading.Event()
        # The number of a signal is written there even while Python does not run.
        self._heard, self._ear = os.pipe()
        os.set_blocking(self._ear, False)
        self._previous_ear = signal.set_wakeup_fd(self._ear, warn_on_full_buffer=False)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *exception):
        self._left.set()
        signal.set_wakeup_fd(self._previous_ear)
        os.close(self._ear)
        self._listener.join()
        os.close(self._heard)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        del number, frame
        if self.made:  # asked twice: do not wait for the checkpoint
            raise KeyboardInterrupt
        self.made = True
        if self._may_cut:
            raise _Cut

    def _listen(self):
        while number := os.read(self._heard, 1):
            # Python itself has other signals written there, too.
            if number[0] in _SIGNALS and not self._left.wait(_PATIENCE) and self.leave is not None:
                self.leave()

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
