"""What every command-line program shares: flags, one-line errors, exit status."""

import logging
import os
import shutil
import signal
import sys
import tempfile

from absl import app, flags
from absl import logging as absl_logging

from xctrs_tf.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def _parse_flags(argv):
    """Parse flags; a mistake in them is one line, not absl's usage page."""
    try:
        remaining = flags.FLAGS(argv)
    except flags.Error as error:
        fail(f"{' '.join(str(error).split())} (see --help)")
    if len(remaining) > 1:
        fail(f"unexpected argument {remaining[1]!r}: every option is a --flag (see --help)")
    return remaining


def load_tensorflow():
    """Import TensorFlow without its start-up chatter.

    Programs call this once their flags are known to be good, since it takes
    seconds. Someone who sets TF_CPP_MIN_LOG_LEVEL to 0 or 1 wants to see it, and
    with KERAS_BACKEND=jax there may be none.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if level < "2" or "tensorflow" in sys.modules or os.environ.get("KERAS_BACKEND") == "jax":
        return
    # Some of it is written before the level is read, by C++ code, straight to
    # the file descriptor.
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except Exception:
            chatter.seek(0)
            with os.fdopen(os.dup(stderr), "wb") as original:
                shutil.copyfileobj(chatter, original)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def make_output_folder(path):
    """Make the folder that --output names, if it is not there.

    Args:
        path: `pathlib.Path`.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output={path}: cannot be made ({error.strerror}); name another folder"
        ) from error


def fail(message):
    """Print one error line and exit with the status of a user's mistake."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def run(main):
    """Run ``main()`` under absl; a `UserError` becomes one line and status 2.

    Args:
        main: function without arguments; its return value is the exit status.
    """

    def wrapped(argv):
        del argv
        try:
            return main()
        except UserError as error:
            fail(" ".join(str(error).split()))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # `command | head`: the reader has gone, which is not an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE

    # Tables have a plus-minus sign, which the locale C has not.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # A warning is a line for a person, without thread and line numbers.
    absl_logging.get_absl_handler().setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    app.run(wrapped, flags_parser=_parse_flags)
