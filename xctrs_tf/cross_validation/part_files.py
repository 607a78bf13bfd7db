"""A tar stream in files of limited size, with an index that is written last.

    FOLDER/index.json          the parts with their sizes and hashes, and what the writer adds
    FOLDER/part-0001-000.bin   the first bytes of the stream
    FOLDER/part-0001-001.bin   the next ones

The first number counts how often the stream was written. New parts lie beside the old ones
until the index names them, so that at every moment a whole stream is there.
"""

import hashlib
import io
import os
import pathlib
import re
import shutil
import tarfile
import tempfile

from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json, sha256_of, sync, write_json

FORMAT = "xctrs-handover/1"
PART_BYTES = 16_000_000
INDEX = "index.json"
_PART = re.compile(r"part-(?P<writing>\d{4,})-\d{3,}\.bin")
# Parts that are being written; a killed process leaves them.
_SCRATCH = ".parts-"


def read_index(folder):
    """Read the index of a folder of parts, and check that the parts are whole.

    Args:
        folder: `pathlib.Path`; it may be absent.

    Returns:
        The index, or None for a folder that is absent or empty.

    Raises:
        UserError: the folder holds anything else, or a part is missing or damaged.
    """
    names = _names(folder)
    if not names:
        return None
    foreign = [name for name in names if name != INDEX and not _PART.fullmatch(name)]
    if foreign:
        raise UserError(f"{folder}: holds {foreign[0]}, so it is no handover; name an empty folder")
    path = folder / INDEX
    if INDEX not in names:
        raise UserError(f"{path}: missing; copy the whole folder again, or empty {folder}")
    try:
        index = read_json(path)
        found = index["format"]
        parts = [(str(part["name"]), part["size"], part["sha256"]) for part in index["parts"]]
        if not all(_PART.fullmatch(name) for name, _, _ in parts):
            raise ValueError("a part has the name of another file")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); copy the whole folder again") from None
    if found != FORMAT:
        raise UserError(f"{path}: its format is {found!r:.40} and not {FORMAT}; use that version")
    for name, size, sha256 in parts:
        part = folder / name
        if not part.is_file():
            raise UserError(f"{part}: missing; copy it again")
        if part.stat().st_size != size or sha256_of(part) != sha256:
            raise UserError(f"{part}: damaged or not copied to its end; copy it again")
    return index


def write_parts(folder, members, about):
    """Write files as parts and an index, in place of those that the folder holds.

    Call it only while no other process writes there (`folder_lock.folder_lock`).

    Args:
        folder: `pathlib.Path` of a folder that is empty or holds parts.
        members: iterable of pairs: name in the stream, with ``/`` between folders, and the
            content as bytes or the `pathlib.Path` of a file.
        about: dict for the index, with ``format``; it may be filled while the members are
            taken.

    Returns:
        Number of files and of bytes that were written, without the index.

    Raises:
        OSError: it cannot be written; what the folder held is whole then.
    """
    _remove_leftovers(folder)
    # Without an index, no part is of use.
    old = [name for name in _names(folder) if _PART.fullmatch(name)]
    writing = 1 + max((int(_PART.fullmatch(name)["writing"]) for name in old), default=0)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        with (
            _Writer(scratch, f"part-{writing:04d}") as writer,
            tarfile.open(fileobj=writer, mode="w|") as tar,
        ):
            for name, content in members:
                _add(tar, name, content)
        parts = writer.parts()
        for part in parts:
            sync(scratch / part["name"])
            os.replace(scratch / part["name"], folder / part["name"])
        write_json(folder / INDEX, {**about, "parts": parts})
    except OSError as error:
        # Of a full disk, the system does not say which file was being written.
        if error.filename is None or str(error.filename).startswith(str(scratch)):
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name in old:
        (folder / name).unlink()
    return len(parts), sum(part["size"] for part in parts)


def unpack_parts(folder, index, target, wanted):
    """Write the files of a stream to a folder.

    Args:
        folder: `pathlib.Path` of the parts.
        index: what `read_index` returned.
        target: `pathlib.Path` of an existing folder.
        wanted: function from the name of a file to whether it is written.

    Raises:
        UserError: the stream holds anything but files in the folder.
    """
    stream = io.BufferedReader(_Joined([folder / part["name"] for part in index["parts"]]))
    with stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    # No link and no device, and no name outside the folder.
                    if not member.isreg() or not is_inside(member.name):
                        raise tarfile.TarError(f"{member.name!r:.80} is no file in it")
                    if wanted(member.name):
                        path = target / member.name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        with path.open("wb") as file:
                            shutil.copyfileobj(tar.extractfile(member), file)
        except tarfile.TarError as error:
            raise UserError(f"{folder}: damaged ({error}); have it written again") from None


def is_inside(name):
    """Tell whether a name with ``/`` between folders stays inside a folder.

    Args:
        name: text.
    """
    parts = name.split("/")
    return "\0" not in name and "\\" not in name and not {"", ".", ".."} & set(parts)


def _names(folder):
    """Return the names in a folder but hidden ones, such as that of the lock."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _remove_leftovers(folder):
    for path in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(path, ignore_errors=True)


def _add(tar, name, content):
    member = tarfile.TarInfo(name)
    if isinstance(content, bytes):
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        return
    with content.open("rb") as file:
        member.size = os.fstat(file.fileno()).st_size
        tar.addfile(member, file)


class _Writer:
    """File to write to, which is cut into parts of at most `PART_BYTES`."""

    def __init__(self, folder, prefix):
        self._folder = folder
        self._prefix = prefix
        self._parts = []
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._file is not None:
            self._file.close()

    def write(self, data):
        data = memoryview(data)
        while data:
            if self._file is None or self._parts[-1]["size"] == PART_BYTES:
                self._begin()
            piece = data[: PART_BYTES - self._parts[-1]["size"]]
            self._file.write(piece)
            self._parts[-1]["hash"].update(piece)
            self._parts[-1]["size"] += len(piece)
            data = data[len(piece) :]

    def parts(self):
        """Return name, size and hash of every part."""
        return [
            {"name": part["name"], "size": part["size"], "sha256": part["hash"].hexdigest()}
            for part in self._parts
        ]

    def _begin(self):
        if self._file is not None:
            self._file.close()
        name = f"{self._prefix}-{len(self._parts):03d}.bin"
        self._file = (self._folder / name).open("wb")
        self._parts.append({"name": name, "size": 0, "hash": hashlib.sha256()})


class _Joined(io.RawIOBase):
    """File to read from, made of several."""

    def __init__(self, paths):
        self._paths = list(paths)
        self._file = None

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            if self._file is None:
                if not self._paths:
                    return 0
                self._file = self._paths.pop(0).open("rb")
            count = self._file.readinto(buffer)
            if count:
                return count
            self._file.close()
            self._file = None

    def close(self):
        if self._file is not None:
            self._file.close()
        super().close()
