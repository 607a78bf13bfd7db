"""Programs that run other programs of this project, one after another."""

import shlex
import subprocess
import sys


def run_command(program, *arguments):
    """Print and run a program of `experiments`; end with its exit status if it fails.

    Args:
        program: its module below ``experiments``.
        *arguments: its flags.
    """
    command = ["-m", f"experiments.{program}", *map(str, arguments)]
    print(f"\n$ python {shlex.join(command)}", flush=True)
    status = subprocess.run([sys.executable, *command]).returncode
    if status:
        sys.exit(status)
