"""Programs that run other programs of this project, one after another."""

import pathlib
import shlex
import shutil
import subprocess
import sys

from xctrs_tf.errors import UserError


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


def begin_output(output, mark, keep=False):
    """Make the folder of a demo; remove what an earlier one left, and nothing else.

    Args:
        output: `pathlib.Path`.
        mark: name of the file by which a folder of the same demo is known.
        keep: go on in an earlier folder.

    Raises:
        UserError: the folder is something else.
    """
    output = pathlib.Path(output)
    if output.exists() and not keep:
        if not (output / mark).exists():
            raise UserError(
                f"--output={output} exists and is not an earlier demo: name another folder"
            )
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / mark).touch()
