"""Shared by every command-line program: flags, help, one-line errors, exit status.

A program defines its flags on a `flags.FlagValues` of its own, so that several programs
can be imported into one process, and has a `main(argv=None)` that calls `run`.
"""

import contextlib
import gc
import importlib.util
import logging
import os
import shutil
import signal
import sys
import tempfile
import textwrap

from absl import flags
from absl import logging as absl_logging

from xctrs_tf import provenance
from xctrs_tf.errors import UserError, memory_error_text, one_line, os_error_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.processor import set_fpmath
from xctrs_tf.progress import stage
from xctrs_tf.training.jax.compilation import keep_compilations

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
_HELP = ("--help", "-help", "-h", "--helpshort", "--helpfull")
_WIDTH = 100
# Packages that an installation for JAX lacks (docs/training.md).
_LEFT_OUT = ("SimpleITK", "pydicom", "tensorflow")
# What is undone when a program ends; a program may call another one.
_ends = []


def backend():
    """Return the name of Keras's backend without importing Keras."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def load_tensorflow(fpmath=None):
    """Import TensorFlow without its start-up chatter.

    Programs call this once their flags are known to be good, since it takes
    seconds. Someone who sets TF_CPP_MIN_LOG_LEVEL to 0 or 1 wants to see it, and
    with KERAS_BACKEND=jax there may be none.

    Args:
        fpmath: how float32 graphs are computed, of `processor.FPMATHS`; None leaves it as
            the environment says.

    Raises:
        UserError: bfloat16 is asked for, and the backend is not TensorFlow.
    """
    if fpmath == "bfloat16" and backend() == "jax":
        raise UserError(
            "--fpmath=bfloat16: is an option of oneDNN in TensorFlow; leave it out, or unset "
            "KERAS_BACKEND"
        )
    if fpmath is not None:
        set_fpmath(fpmath)
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "tensorflow" in sys.modules or backend() == "jax":
        return
    with _copy_of_stderr() as stream, stage("loading TensorFlow", stream), _fast_imports():
        _import_tensorflow(quiet=level >= "2")


def check_keras(purpose, instead):
    """Refuse what needs Keras where Keras or its backend is not installed.

    Args:
        purpose: what needs it.
        instead: what to do without it.

    Raises:
        UserError: a package is missing.
    """
    missing = [name for name in ("keras", backend()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{purpose} needs {' and '.join(missing)}: pip install {' '.join(missing)}, or "
            f"{instead}"
        )


@contextlib.contextmanager
def _copy_of_stderr():
    """Context manager with a file that is seen while file descriptor 2 is redirected."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    # No file is behind it, as in a test.
    except (OSError, ValueError):
        descriptor = None
    if descriptor is None:
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w") as stream:
        yield stream


@contextlib.contextmanager
def _fast_imports():
    """Context manager that saves a third of the time of importing TensorFlow."""
    # TensorFlow Lite and keras.visualization import them, if they are installed.
    unused = [name for name in ("jax", "matplotlib") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(unused))
    # Imports and traced graphs make millions of objects that live on. To look for garbage
    # among them every 700 objects takes a fifth of the time of an import.
    gc.disable()
    try:
        yield
    finally:
        for name in unused:
            del sys.modules[name]
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        gc.enable()


def _import_tensorflow(quiet):
    if not quiet:
        return
    # Some of it is written before the level is read, by C++ code, straight to
    # the file descriptor.
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow as tf

            # The first search for devices prints remarks, too.
            tf.config.list_physical_devices()
        except Exception:
            chatter.seek(0)
            with os.fdopen(os.dup(stderr), "wb") as original:
                shutil.copyfileobj(chatter, original)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def lock_output(path, beside=False):
    """Keep an output folder for this program until it ends (`folder_lock.folder_lock`).

    Args:
        path: the folder.
        beside: as of `folder_lock`; ``path`` may then be a file.

    Raises:
        UserError: another process writes to it, or it cannot be written.
    """
    _ends[-1].enter_context(folder_lock(path, beside=beside))


def run(execute, flag_values, argv=None):
    """Run a program on a command line.

    A mistake in the flags, a `UserError` or a file that cannot be read or written is one
    line on stderr.

    Args:
        execute: the program: a function without arguments that returns the exit
            status, None for 0. The docstring of its module is the help text.
        flag_values: `flags.FlagValues` of the program.
        argv: arguments after the program's name; by default those of the process.

    Returns:
        The exit status.
    """
    argv = sys.argv[1:] if argv is None else [str(argument) for argument in argv]
    module = sys.modules[execute.__module__]
    name = _module_name(module)
    # Before any import of TensorFlow, in this process or a worker.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _use_plain_streams()
    provenance.set_command(["python", "-m", name, *argv])
    depth = len(_ends)
    try:
        if any(argument in _HELP for argument in argv):
            print(help_text(module.__doc__, name, flag_values))
            status = 0
        else:
            _parse(flag_values, [name, *argv])
            if backend() == "jax":
                # Before any import of JAX.
                keep_compilations()
            with contextlib.ExitStack() as end:
                _ends.append(end)
                status = execute() or 0
        _flush_stdout()
        return status
    except UserError as error:
        return _fail(one_line(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `command | head` closes the pipe early, which is not an error.
        _discard_stdout()
        return 128 + signal.SIGPIPE
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LEFT_OUT:
            raise
        return _fail(
            f"{name} needs {package}, which is not installed; without it "
            "experiments.train and experiments.evaluate run, with KERAS_BACKEND=jax"
        )
    except OSError as error:
        with contextlib.suppress(OSError):
            _flush_stdout()
        return _fail(one_line(os_error_text(error)))
    except Exception as error:
        if (text := memory_error_text(error)) is None:
            raise
        return _fail(text)
    finally:
        del _ends[depth:]
        provenance.set_command(None)


def _fail(text):
    print(f"error: {text}", file=sys.stderr)
    return EXIT_USER_ERROR


def help_text(doc, name, flag_values):
    """Describe a program and its flags, in the groups of the modules that define them.

    Args:
        doc: docstring of the program.
        name: of its module, for ``python -m``.
        flag_values: its `flags.FlagValues`.

    Returns:
        Text of several lines.
    """
    parts = [(doc or "").strip(), f"usage: python -m {name} [--FLAG=VALUE ...]"]
    for title, group in _groups(flag_values):
        parts.append("\n".join([f"{title}:", *map(_flag_help, group)]))
    parts.append("--flagfile=FILE reads flags from a file, one a line.")
    return "\n\n".join(parts)


def _groups(flag_values):
    """Yield titles with lists of flags; a module of shared flags names them in `GROUPS`."""
    by_module = flag_values.flags_by_module_dict()
    shared = {name: found for name, found in by_module.items() if ".common." in name}
    yield (
        "Flags",
        [flag for name, found in by_module.items() if name not in shared for flag in found],
    )
    for name, found in shared.items():
        left = {flag.name: flag for flag in found}
        for title, names in sys.modules[name].GROUPS.items():
            group = [left.pop(each) for each in names or tuple(left) if each in left]
            if group:
                yield title, group


def _flag_help(flag):
    boolean = isinstance(flag, flags.BooleanFlag)
    usage = f"--[no]{flag.name}" if boolean else f"--{flag.name}=..."
    text = " ".join(flag.help.split())
    if flag.default_as_str is not None and "preset:" not in text:
        text += f" (default: {flag.default_as_str.strip(chr(39))})"
    return "\n".join([f"  {usage}", *(f"      {line}" for line in textwrap.wrap(text, _WIDTH - 8))])


def _parse(flag_values, argv):
    """Parse flags into their defaults; a mistake in them is a UserError."""
    flag_values.unparse_flags()
    try:
        remaining = flag_values(argv)
    except flags.Error as error:
        raise UserError(f"{error} (see --help)") from error
    if len(remaining) > 1:
        raise UserError(
            f"unexpected argument {remaining[1]!r}: every option is a --flag (see --help)"
        )


def _module_name(module):
    """Name of a program's module as it is typed after ``python -m``."""
    specification = getattr(module, "__spec__", None)
    name = specification.name if specification else module.__name__
    return name.removesuffix(".__main__")


def _flush_stdout():
    """Write what is printed, so that a full disk is an error of the program."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # Python would try again at its end.
        _discard_stdout()
        error.filename = "standard output"
        raise


def _discard_stdout():
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _LineFormatter(logging.Formatter):
    """Formatter of messages as one printable line; a traceback keeps its lines."""

    def formatMessage(self, record):
        return one_line(super().formatMessage(record))


def _use_plain_streams():
    # Tables contain a plus-minus sign, which the locale C lacks.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # A warning is a line for a person, without thread and line numbers.
    absl_logging.use_absl_handler()
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(_LineFormatter("%(levelname)s: %(message)s"))
    handler.python_handler.stream = sys.stderr
    # absl's own flags are not offered; unparsed, they would make its log complain.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
