"""Folder of a demo: made anew, or continued."""

import pathlib
import shutil

from xctrs_tf.errors import UserError


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
