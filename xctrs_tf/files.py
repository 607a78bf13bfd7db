"""Atomic writing and hashing of files: no reader ever sees half a file."""

import contextlib
import csv
import hashlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def atomic_path(path):
    """Give a temporary path beside ``path`` and rename it when the block succeeds.

    The temporary path has the same suffixes, since writers choose the format by
    them. If the block raises, the temporary file or folder is removed and
    ``path`` stays as it was. A folder replaces an existing folder.

    Args:
        path: final path of a file or folder; its parent must exist.

    Yields:
        `pathlib.Path` to write to, which does not exist yet.
    """
    path = pathlib.Path(path)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = scratch / path.name
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            os.replace(path, scratch / "replaced")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_text(path, text):
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(*files):
    """Return the hex sha256 of the bytes of one file, or of several in this order."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def read_csv(path):
    """Return the lines of a CSV as dicts of strings."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, lines):
    """Write dicts with equal keys as the lines of a CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
