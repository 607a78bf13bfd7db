"""Progress of long work on stderr, on a terminal and in a log."""

import contextlib
import sys
import threading
import time

from tqdm import tqdm

# Work that takes no longer says nothing.
AFTER_S = 2.0
# Seconds between two lines, on a terminal and in a log.
EVERY_S = {True: 1.0, False: 10.0}


def progress_bar(items=None, description=None, **options):
    """Make a progress bar, which a log gets as a line every 10 seconds.

    Args:
        items: iterable to go through, or None with ``total`` in the options.
        description: words before the bar.
        **options: other arguments of `tqdm.tqdm`.

    Returns:
        `tqdm.tqdm`.
    """
    if not sys.stderr.isatty():
        options |= {"file": _Lines(sys.stderr), "mininterval": EVERY_S[False]}
    return tqdm(items, description, delay=AFTER_S, **options)


class _Lines:
    """File that makes lines of what tqdm writes over one another on a terminal."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        if text.strip():
            self._stream.write(text.strip() + "\n")

    def flush(self):
        self._stream.flush()


@contextlib.contextmanager
def stage(description, stream=None, left=None):
    """Name a stage of the work and its time, once it takes over `AFTER_S` seconds.

    A terminal shows the time on one line, a log gets a line every 10 seconds.

    Args:
        description: what is being done.
        stream: file to write to; stderr by default.
        left: function that another thread calls for the seconds that the rest takes, which
            are said, too; None while they are unknown.

    Yields:
        Nothing.
    """
    stream = stream or sys.stderr
    done = threading.Event()
    ticking = threading.Thread(target=_tick, args=(description, stream, left, done), daemon=True)
    ticking.start()
    try:
        yield
    finally:
        done.set()
        ticking.join()


def _tick(description, stream, left, done):
    began, on_terminal, wait_s = time.monotonic(), stream.isatty(), AFTER_S
    start, end = ("\r", "") if on_terminal else ("", "\n")
    line = ""
    # The terminal may be gone; that ends no work.
    with contextlib.suppress(OSError, ValueError):
        while not done.wait(wait_s):
            seconds = time.monotonic() - began
            # Spaces hide the end of a longer line before, on a terminal.
            width = len(line.rstrip()) if on_terminal else 0
            line = f"{description}: {seconds:.0f} s{_rest(left)}".ljust(width)
            print(f"{start}{line}", end=end, file=stream, flush=True)
            wait_s = EVERY_S[on_terminal]
        if on_terminal and time.monotonic() - began > AFTER_S:
            print(file=stream, flush=True)


def _rest(left):
    seconds = left() if left else None
    return "" if seconds is None else f", about {seconds:.0f} s left"
