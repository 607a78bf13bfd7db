"""Atomic writing and hashing of files, and folders of results."""

import contextlib
import csv
import ctypes
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile
import tokenize
import zipfile
import zlib

from xctrs_tf.errors import UserError

# What `numpy.load` raises for damaged ``.npz`` files: a flipped bit may be in a header, too.
NPZ_ERRORS = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
# Of Linux's renameat2, in glibc since 2.28.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# Name in the scratch folder of what was at the path before.
_REPLACED = "replaced"
# `tempfile.mkdtemp` ends the name of a scratch folder with eight such characters.
_SCRATCH = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")


@contextlib.contextmanager
def atomic_path(path):
    """Give a temporary path beside ``path`` and rename it when the block succeeds.

    The temporary path has the same suffixes, since writers choose the format by
    them. If the block raises, or the new file cannot be put in place, the temporary
    file or folder is removed and ``path`` stays as it was. A folder replaces an
    existing folder. The content is on the disk before it gets its name.

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
        sync(temporary)
        if temporary.is_dir() and path.is_dir():
            _replace_folder(temporary, path)
        else:
            os.replace(temporary, path)
        _sync_one(path.parent)
    except OSError as error:
        # Of a full disk, the system does not say which file was being written.
        if error.filename is None or str(error.filename).startswith(str(scratch)):
            error.filename = str(path)
        raise
    finally:
        _remove_scratch(scratch, path)


def remove_leftovers(folder, name=None, is_used=lambda path: False):
    """Remove what killed processes left of `atomic_path` in a folder.

    Call it only while no other process writes there (`folder_lock.folder_lock`). A
    folder that was being replaced when the process was killed is put back.

    Args:
        folder: the folder; it may be absent.
        name: only what was to become this file or folder; None for any.
        is_used: function from the path of that file or folder to whether another process
            writes it all the same; what is to become it stays.
    """
    folder = pathlib.Path(folder)
    for scratch in sorted(folder.iterdir()) if folder.is_dir() else []:
        found = _SCRATCH.fullmatch(scratch.name)
        if found is None or name not in (None, found["name"]):
            continue
        if scratch.is_symlink() or not scratch.is_dir() or is_used(folder / found["name"]):
            continue
        # With other entries it was not made by `atomic_path`.
        if {entry.name for entry in scratch.iterdir()} <= {found["name"], _REPLACED}:
            _remove_scratch(scratch, folder / found["name"])


def make_folder(folder, private=True):
    """Make a folder with its parents, if it is not there.

    Args:
        folder: `pathlib.Path`.
        private: let no other user of the machine enter it, if it is made here.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error


def make_private(path):
    """Take the right to read a file, or a folder with all in it, from other users."""
    for each in (path, *path.rglob("*")):
        each.chmod(0o700 if each.is_dir() else 0o600)


def check_only_own_files(folder, record_file, is_own):
    """Refuse a folder that holds anything other than an earlier result of a program.

    Args:
        folder: the folder; it need not exist.
        record_file: name of the file that marks a result of the program.
        is_own: function from the path of an entry to whether the program wrote it.

    Raises:
        UserError: it holds other files, is a mount point, or is not a folder.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; choose another output folder")
    # The new folder takes the place of the old one, which a mount point keeps.
    if folder.resolve().is_mount():
        raise UserError(f"{folder}: a mount point, which cannot be replaced; name a folder in it")
    entries = list(folder.iterdir())
    if entries and not ((folder / record_file).is_file() and all(map(is_own, entries))):
        raise UserError(f"{folder}: holds other files; choose an empty output folder")


def write_text(path, text):
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value, **options):
    """Write a value as a JSON file atomically.

    Args:
        path: the file.
        value: the value.
        **options: other arguments of `json.dumps`; lines are indented by 1 unless they tell.
    """
    write_text(path, json.dumps(value, **{"indent": 1, **options}) + "\n")


def append_text(path, text):
    """Append to a UTF-8 text file, not atomically; an error names the file."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        error.filename = str(path)
        raise


def require_space(folder, size):
    """Raise OSError unless the disk of a folder takes this many bytes more.

    For writers that do not tell that a file was cut short, or end the process over it.

    Args:
        folder: an existing folder.
        size: bytes.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, int(size)))
        except OSError as error:
            # Other errors say that the file system cannot tell.
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def sync(path, content=True):
    """Write a file or folder from memory to the disk.

    Args:
        path: the file or folder.
        content: False writes a folder's names alone, without the files in it.
    """
    path = pathlib.Path(path)
    if content and path.is_dir():
        for entry in path.rglob("*"):
            _sync_one(entry)
    _sync_one(path)


def require_plain_file(path):
    """Refuse a pipe or a device, whose content may never end.

    Args:
        path: path of a file; where there is none, or a folder, nothing is refused.

    Raises:
        UserError: a pipe, a socket or a device.
        OSError: the path cannot be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path}: a pipe or a device; name a file")


def sha256_of(*files):
    """Return the hex sha256 of the bytes of one file, or of several in this order."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def read_json(path):
    """Read a JSON file that holds an object.

    Args:
        path: the file.

    Returns:
        dict.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or its value is no object.
    """
    try:
        value = json.loads(pathlib.Path(path).read_bytes())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__} in place of a dict")
    return value


def read_csv(path):
    """Read a CSV as dicts of strings.

    Args:
        path: the file.

    Returns:
        List of dicts, one a line, with the keys of the first line.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            lines = list(reader)
        except csv.Error as error:
            raise ValueError(str(error)) from error
    for number, line in enumerate(lines, 2):
        # DictReader gives cells without a name the key None, and absent cells the value None.
        if None in line or None in line.values():
            raise ValueError(f"line {number} has not the cells of the first line")
    return lines


def write_csv(path, lines):
    """Write dicts with equal keys as the lines of a CSV, not atomically."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _replace_folder(temporary, path):
    if not _exchange(temporary, path):
        os.replace(path, temporary.with_name(_REPLACED))
        os.replace(temporary, path)


def _remove_scratch(scratch, path):
    """Remove a scratch folder, but put back what was at the path if nothing is there."""
    replaced = scratch / _REPLACED
    if replaced.exists() and not path.exists():
        os.replace(replaced, path)
    shutil.rmtree(scratch, ignore_errors=True)


def _exchange(one, other):
    """Exchange two paths in one step; return False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return renameat2(*paths, _RENAME_EXCHANGE) == 0


def _sync_one(path):
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    try:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError:
        # Some network file systems cannot do this for folders.
        if not path.is_dir():
            raise


def as_dict(value):
    """Return a JSON value if it is a dict, else an empty dict: anyone may have written it."""
    return value if isinstance(value, dict) else {}


def as_list(value):
    """Return a JSON value if it is a list, else an empty list: anyone may have written it."""
    return value if isinstance(value, list) else []
