"""Calls of the command-line programs, in this process or in a process of their own."""

import contextlib
import importlib
import io
import os
import pathlib
import re
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[1]


def run_program(name, *flags):
    """Call the `main` of ``experiments.<name>`` in this process.

    Returns:
        `subprocess.CompletedProcess` with exit status, stdout and stderr.
    """
    module = f"experiments.{name}"
    if name in ("benchmark", "demo", "segment"):
        module += ".__main__"
    printed, errors = io.StringIO(), io.StringIO()
    policy = keras.config.dtype_policy()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            status = importlib.import_module(module).main(flags)
        except SystemExit as end:
            status = end.code
        finally:
            keras.config.set_dtype_policy(policy)
    return subprocess.CompletedProcess(
        [name, *flags], status or 0, printed.getvalue(), errors.getvalue()
    )


def command(name, *flags):
    """Return the command line of ``experiments.<name>``."""
    return [sys.executable, "-m", f"experiments.{name}", *map(str, flags)]


def start_program(name, *flags, **options):
    """Run ``experiments.<name>`` in its own process; return the finished process.

    Needed for tests of memory, limits, the environment, and messages of C libraries.
    `run_program` is faster.
    """
    # Set by the tests alone. The program itself has to silence TensorFlow.
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    options = {"env": env, "timeout": 300, **options}
    finished = subprocess.run(
        command(name, *flags), cwd=ROOT, capture_output=True, encoding="utf-8", **options
    )
    # On a slow machine stages of the work are named.
    finished.stderr = re.sub(r"^[\w -]+: \d+ s\n", "", finished.stderr, flags=re.M)
    return finished


def rights_of_others(folder):
    """Return the rights of other users on a folder and all that is in it, as a set of modes."""
    return {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))}


def assert_refused(result, message, output=None):
    """Assert one error line with this message, status 2, no stdout and no output file.

    Args:
        result: of `run_program` or `start_program`.
        message: part of the line.
        output: path that a flag names and that must not be there; None for a program without
            output, or with one that was there before.
    """
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert message in lines[0]
    assert (result.returncode, result.stdout) == (2, "")
    if output is not None:
        assert str(output) in {arg.partition("=")[2] for arg in result.args}
        assert not output.exists()
