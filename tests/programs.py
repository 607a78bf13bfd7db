"""The command-line programs, started as a user starts them."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def run_program(name, *flags):
    """Run ``experiments.<name>``; returns the finished process."""
    command = [sys.executable, "-m", f"experiments.{name}", *map(str, flags)]
    # The tests' own; with it TensorFlow would not be quiet.
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", timeout=300
    )


def assert_refused(result, message, output):
    """One line of error, status 2, nothing on stdout, nothing written."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert message in lines[0]
    assert (result.returncode, result.stdout) == (2, "")
    assert not output.exists()
