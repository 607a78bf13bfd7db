"""Flag and context of programs that write data of patients: who may read them."""

import contextlib
import os

from absl import flags

GROUPS = {"Privacy": None}


def define_share(flag_values):
    """Define --share on a program's flag values, and return the flag."""
    return flags.DEFINE_boolean(
        "share",
        False,
        "Let other users of the machine read what is written, as far as the umask does. Without it "
        "new folders are yours alone (0700, and files 0600).",
        flag_values=flag_values,
    )


@contextlib.contextmanager
def private_files(shared):
    """Take the rights of other users from all that is created within the context.

    Worker processes that are started within it do the same.

    Args:
        shared: True changes nothing.
    """
    before = os.umask(0o077)
    try:
        if shared:
            os.umask(before)
        yield
    finally:
        os.umask(before)
