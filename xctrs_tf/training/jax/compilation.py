"""Cache of what JAX compiles, and faster compilation of what runs once."""

import contextlib
import logging
import os
import pathlib
import stat

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_SHORTEST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_LIMIT_BYTES = 4 << 30


def keep_compilations(limit_bytes=_LIMIT_BYTES):
    """Let JAX keep what it compiles for the next process, in a private folder of the user.

    Call it before JAX is imported. The folder is ``xctrs_tf/jax`` in ``XDG_CACHE_HOME``
    or ``~/.cache``. JAX's own variables have precedence: ``JAX_COMPILATION_CACHE_DIR``
    names another folder, ``JAX_ENABLE_COMPILATION_CACHE=false`` switches it off. Worker
    processes inherit all of them.

    Args:
        limit_bytes: the oldest files beyond this are removed, in the default folder only.
    """
    # By default JAX keeps only what took over a second. A start compiles hundreds of
    # small operations.
    os.environ.setdefault(_SHORTEST, "0")
    if _FOLDER in os.environ:
        return
    try:
        folder = _private_folder()
        _remove_oldest(folder, limit_bytes)
    except (OSError, RuntimeError) as error:
        logging.warning("what JAX compiles is not kept: %s; %s names a folder", error, _FOLDER)
        return
    os.environ[_FOLDER] = str(folder)


def _private_folder():
    """Return the default folder; whoever can write to it can run code as this user."""
    named = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
    # By its specification a relative path is ignored.
    root = named if named.is_absolute() else pathlib.Path.home() / ".cache"
    folder = root / "xctrs_tf" / "jax"
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
        others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or others_write:
            raise PermissionError(f"{path} is not a folder that its user alone can write to")
    return folder


def _remove_oldest(folder, limit_bytes):
    newest_first = sorted(
        ((status.st_mtime, status.st_size, path) for path, status in _files(folder)), reverse=True
    )
    total = 0
    for _, size, path in newest_first:
        total += size
        if total > limit_bytes:
            path.unlink(missing_ok=True)


def _files(folder):
    for path in folder.glob("*-cache"):
        # Another process may have removed it.
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


@contextlib.contextmanager
def fast_compilation():
    """Context manager in which JAX compiles with few optimisations.

    For what runs once: the random initial weights of X-CTRSNet take six times as long
    to compile otherwise. They differ by rounding alone.
    """
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
