"""Lock of a folder: one process at a time writes to it."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import pathlib
import socket

from xctrs_tf.errors import UserError
from xctrs_tf.files import remove_leftovers

# File systems that have no locks answer so.
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
# Of opening a lock that another process is removing.
_ATTEMPTS = 100


@contextlib.contextmanager
def folder_lock(folder, *parts, beside=False, wait=False):
    """Keep a folder for this process, and remove what killed processes left in it.

    If the process is killed, the processes that inherited the file descriptor keep the lock
    until they end. At the end of the context it is removed, even if they go on. On a file
    system without locks there is a warning instead. A folder that was made for the lock and
    is empty at the end is removed.

    Args:
        folder: the folder to write to; created if missing, unless ``beside``.
        *parts: folders in it from which leftovers of `files.atomic_path` are removed,
            besides itself.
        beside: the lock lies beside the folder, which is written as a whole and may
            be absent; leftovers are those of the folder itself.
        wait: wait for another process that holds the lock, with a warning.

    Yields:
        File descriptor that holds the lock.

    Raises:
        UserError: another process holds the lock, unless ``wait``; or the folder cannot be
            written.
    """
    folder = pathlib.Path(folder).absolute()
    home = folder.parent if beside else folder
    file = home / (f".{folder.name}.lock" if beside else ".lock")
    made = [path for path in (home, *home.parents) if not path.exists()]
    try:
        descriptor = _open_locked(file, folder, wait)
    except OSError as error:
        _remove_empty(made)
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            raise UserError(f"{folder}: not a folder; choose another output folder") from error
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another output folder"
        ) from error
    try:
        if beside:
            remove_leftovers(home, folder.name)
        else:
            for path in (folder, *(folder / part for part in parts)):
                remove_leftovers(path, is_used=_is_locked_beside)
        yield descriptor
    finally:
        # Removed while it is held: who opened it meanwhile sees that it has no name any more.
        with contextlib.suppress(OSError):
            file.unlink()
        os.close(descriptor)
        _remove_empty(made)


def _open_locked(file, folder, wait):
    for _ in range(_ATTEMPTS):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # Its holder removed the folder between the two calls.
        try:
            _lock(descriptor, folder, wait)
            if _has_name(descriptor, file):
                _write_owner(descriptor, file)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


def _write_owner(descriptor, file):
    owner = {"process": os.getpid(), "machine": socket.gethostname()}
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
    except OSError:
        file.unlink(missing_ok=True)
        raise


def _lock(descriptor, folder, wait):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(descriptor)
        if not wait:
            raise UserError(
                f"{folder}: {owner} writes to it; wait until that ends, or stop it"
            ) from None
        logging.warning("%s: waits for %s", folder, owner)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        logging.warning(
            "%s: its file system has no locks (%s); let no second process write to it",
            folder,
            error.strerror,
        )


def _is_locked_beside(path):
    """Return True if another process holds the lock beside a file or folder."""
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


def _owner(descriptor):
    """Name the process that holds a lock."""
    try:
        owner = json.loads(os.pread(descriptor, 1000, 0))
        process, machine = int(owner["process"]), str(owner["machine"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    if machine == socket.gethostname() and not _runs(process):
        return f"a program that process {process} started"
    return f"process {process} on {machine}"


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _has_name(descriptor, file):
    """Return False if the previous holder removed the file after it was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _remove_empty(folders):
    """Remove folders, the innermost first, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
