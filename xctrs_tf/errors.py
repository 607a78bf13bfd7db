"""The exception for mistakes of the user, and text that is safe to print."""

import errno
import logging
import os
import re

_REMEDIES = {
    "free space on that disk, then run the same command again": (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    ),
    "choose another place, or change its permissions": (*(errno.EACCES, errno.EPERM, errno.EROFS),),
    "check the path": (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
}
# Errors of TensorFlow and of JAX, by name: neither need be installed.
_RUNTIME_ERRORS = ("ResourceExhaustedError", "XlaRuntimeError", "JaxRuntimeError")


class UserError(Exception):
    """Wrong input. The message is one line with the file or flag and the remedy.

    The command-line programs print the message after ``error:``, without a
    traceback, and exit with status 2.
    """


def one_line(text, limit=2000):
    """Return text as one line of printable characters.

    Names of files, fields of films and messages of servers may hold line ends, or escape
    codes that act on a terminal. A character that cannot be printed becomes a question
    mark.

    Args:
        text: anything that `str` takes.
        limit: characters after which the text is cut off.

    Returns:
        str.
    """
    # Cut before the work, so that a message of megabytes costs nothing.
    line = " ".join(str(text)[: 4 * limit].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= limit else f"{line[:limit]} ..."


def listed(names):
    """Join the first five names of a list, and count the others."""
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


def log_lines(texts, name=""):
    """Log each text as a warning of one line.

    Args:
        texts: the texts; they may hold what a file says of itself.
        name: what they are about, put before each of them, or empty.
    """
    for text in texts:
        logging.warning("%s", one_line(f"{name}: {text}" if name else text))


def os_error_text(error, path=None):
    """Describe an error of the operating system in one line: file, reason, remedy.

    Args:
        error: an `OSError`, or what a C library raises in its place.
        path: the file, where the error does not name it.

    Returns:
        Such as ``"RUN/config.json: No space left on device; free space on that disk,
        then run the same command again"``.
    """
    text = one_line(error)
    number = getattr(error, "errno", None) or _errno_in(text)
    named = path or getattr(error, "filename", None)
    reason = os.strerror(number) if number in errno.errorcode else text or type(error).__name__
    remedy = next((remedy for remedy, numbers in _REMEDIES.items() if number in numbers), None)
    return (f"{named}: " if named else "") + reason + (f"; {remedy}" if remedy else "")


def graph_error_text(error):
    """Return the informative line of an error of TensorFlow, without names of graph nodes."""
    lines = re.sub(r"\{\{.*?\}\} ?", "", error.message).splitlines()
    lines = [line for line in lines if line.strip() and line != "Graph execution error:"]
    text = one_line(lines[0] if lines else type(error).__name__, 300)
    number = errno.ENOSPC if os.strerror(errno.ENOSPC) in text else None
    remedy = next((remedy for remedy, numbers in _REMEDIES.items() if number in numbers), None)
    return text + (f"; {remedy}" if remedy else "")


def memory_error_text(error):
    """Describe an error of TensorFlow, JAX or Python that says that the memory is full.

    Args:
        error: any exception.

    Returns:
        One line with the remedy; None for any other error.
    """
    text = str(error)
    is_full = isinstance(error, MemoryError) or (
        type(error).__name__ in _RUNTIME_ERRORS
        and re.search(r"OOM|out of memory|allocat", text, re.IGNORECASE)
    )
    if not is_full:
        return None
    return (
        f"the memory is full ({one_line(text, 200) or type(error).__name__}); end other programs, "
        "or in training take --precision=mixed_bfloat16, --vgg_slices=2, --accumulation or --remat "
        "(docs/training.md)"
    )


def _errno_in(text):
    """Return the number that HDF5 and others write into their messages, or None."""
    found = re.search(r"errno = (\d+)", text)
    return int(found[1]) if found else None
