"""Content of untrusted files: read once, in bounded memory, and handed on alone."""

import contextlib
import gzip
import io
import os
import pathlib
import stat
import tempfile
import zlib

from xctrs_tf.errors import UserError
from xctrs_tf.quiet import quiet_libraries

_GZIP = b"\x1f\x8b"
_CHUNK = 2**20
# Letters of a file's text in a message.
_SHOWN = 60


def read_checked(path, max_bytes):
    """Read a file once; unpack it where its first bytes say gzip, whatever its name.

    Args:
        path: the file.
        max_bytes: most bytes, packed and unpacked.

    Returns:
        The unpacked content, a `bytearray`.

    Raises:
        UserError: missing, not a regular file, unreadable, too large, or a damaged gzip.
    """
    with _open(path) as stream:
        if os.fstat(stream.fileno()).st_size > max_bytes:
            raise _too_large(path, "over", max_bytes)
        content = _read_at_most(path, stream, max_bytes)
    if not content.startswith(_GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            return _read_at_most(path, stream, max_bytes, "unpacks to over")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip; fetch the file again") from error


def read_start(path, count):
    """Return the first bytes of a file, unpacked where it is gzip.

    Args:
        path: the file.
        count: how many.

    Returns:
        ``count`` bytes, or all where there are fewer.

    Raises:
        UserError: missing, not a regular file, unreadable, or a damaged gzip.
    """
    with _open(path) as stream:
        packed = stream.read(len(_GZIP)) == _GZIP
        stream.seek(0)
        try:
            return gzip.open(stream).read(count) if packed else stream.read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: damaged gzip; fetch the file again") from error


def check_end(path, content, end):
    """Refuse a file that does not end with its last voxel: the voxels may be shifted.

    Args:
        path: the file, for the error.
        content: its bytes.
        end: where its header says that the voxels end. Zeros and line ends may follow.

    Raises:
        UserError: too few bytes, or too many.
    """
    if len(content) < end:
        raise UserError(f"{path}: ends before its last voxel; fetch the file again")
    if bytes(content[end:]).strip(b"\0\r\n"):
        raise UserError(
            f"{path}: {len(content) - end} bytes more than its header says; fetch the file again"
        )


def printable(text):
    """Return the start of a file's text on one line, without what a terminal would obey.

    Args:
        text: any text.
    """
    start = "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN])
    return start if len(text) <= _SHOWN else f"{start}..."


@contextlib.contextmanager
def alone(content, name):
    """Put checked bytes into an empty folder, where a reader finds no other file.

    Readers choose files of similar names (``ct.nii`` for ``ct.nii.gz``), and some
    cannot open every path. What they print to stderr by themselves is suppressed in the
    block. The copy is removed at its end.

    Args:
        content: bytes.
        name: name of the copy, whose suffix tells the reader the format.

    Yields:
        `pathlib.Path` of the copy.
    """
    with tempfile.TemporaryDirectory(prefix="xctrs-") as folder:
        file = pathlib.Path(folder) / name
        file.write_bytes(content)
        with quiet_libraries():
            yield file


@contextlib.contextmanager
def _open(path):
    """Open a regular file for reading; a pipe or a device might never end."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: a folder; name a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: a pipe or a device; name a file")
    try:
        with open(path, "rb") as stream:
            yield stream
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_at_most(path, stream, max_bytes, words="over"):
    content = bytearray()
    while chunk := stream.read(min(_CHUNK, max_bytes + 1 - len(content))):
        content += chunk
        if len(content) > max_bytes:
            raise _too_large(path, words, max_bytes)
    return content


def _too_large(path, words, max_bytes):
    return UserError(f"{path}: {words} {max_bytes / 1e6:.0f} MB, more than is read")
