"""Folders of input files: what is in them, by names that are no one else's."""

import fnmatch
import os
import pathlib

from xctrs_tf.data.patient_ids import check_id, id_key, normalise_id
from xctrs_tf.errors import UserError

# Folders that archives packed on a Mac carry beside the files.
_FOREIGN_FOLDERS = ("__MACOSX",)


def existing(*files):
    """Return the files; refuse the first that is missing or cannot be named to every reader.

    Raises:
        UserError: a file is missing, or its path is not UTF-8.
    """
    for file in files:
        _require_utf8(file)
        if not file.is_file():
            raise UserError(f"{file}: {'not a file' if file.exists() else 'no such file'}")
    return files


def existing_folder(folder):
    """Return a folder as a path; refuse it if it is missing.

    Raises:
        UserError: the folder is missing, or its path is not UTF-8.
    """
    folder = pathlib.Path(folder)
    _require_utf8(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return folder


def visible_files(folder, pattern, unusable=None):
    """List the files of a name at any depth of a folder, sorted, without hidden files.

    Archives packed on a Mac carry a ``._name`` beside each ``name``.

    Args:
        folder: `pathlib.Path`.
        pattern: of the name, such as ``*.nii.gz``.
        unusable: dict that gets each sub-folder that cannot be read, and the reason.

    Returns:
        List of paths.

    Raises:
        UserError: the folder cannot be read, or without ``unusable`` a sub-folder of it.
    """
    found = []

    def note(error):
        name = os.path.relpath(error.filename, folder)
        if unusable is None or name == ".":
            raise _unreadable(error.filename, error) from error
        unusable[name] = str(_unreadable(error.filename, error))

    seen = set()
    for parent, folders, files in os.walk(folder, onerror=note, followlinks=True):
        # A link may lead to a folder that is also there without it, or back to a parent.
        if (place := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if _is_visible(name))
        found += [pathlib.Path(parent, name) for name in fnmatch.filter(files, pattern)]
    return sorted(file for file in found if _is_visible(file.name) and file.is_file())


def visible_entries(folder):
    """List the files and folders in a folder, sorted, without hidden ones.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if _is_visible(entry.name))
    except OSError as error:
        raise _unreadable(folder, error) from error


def folder_name(folder):
    """Return the name of a folder, also of one that is called ``.``."""
    return folder.name or folder.resolve().name


def file_named(folder, name):
    """Find a file by its name, in upper or lower case, however its letters are composed.

    Systems write one name as different bytes (Unicode NFC and NFD).

    Args:
        folder: `pathlib.Path`.
        name: name of the file.

    Returns:
        Its path; where there is no such file, the path that it would have.

    Raises:
        UserError: two files have this name.
    """
    file = folder / name
    if (name.isascii() and file.is_file()) or not folder.is_dir():
        return file
    wanted = id_key(name)
    found = [entry for entry in visible_entries(folder) if id_key(entry.name) == wanted]
    if len(found) > 1:
        raise UserError(
            f"{found[1]}: two files of this name, which differ in case or in how letters are "
            "composed; remove one"
        )
    return found[0] if found else file


def by_id(named, unusable):
    """Sort files or folders by the ids of their patients.

    Args:
        named: pairs of an id and a path.
        unusable: dict that gets each id that cannot be used, and the reason.

    Returns:
        Dict from id to path, sorted. Letters of the ids are composed. It lacks ids that
        cannot name a file, and those of two paths.
    """
    groups = {}
    for name, path in named:
        groups.setdefault(id_key(name), []).append((name, path))
    chosen = {}
    for members in groups.values():
        (name, path), *others = sorted(members)
        try:
            check_id(normalise_id(name))
            if others:
                raise UserError(f"id {name!r} is also that of {others[0][1]}; rename one")
            chosen[normalise_id(name)] = path
        except UserError as error:
            unusable[name] = f"{path}: {error}"
    return dict(sorted(chosen.items()))


def folders_with(folder, pattern, unusable):
    """Find the folders of patients by a file that each of them has.

    Args:
        folder: `pathlib.Path`, searched at any depth.
        pattern: name of the file, with wildcards.
        unusable: dict that gets each id that cannot be used, and the reason.

    Returns:
        Dict from id, the name of the folder, to its path; sorted.
    """
    files = visible_files(folder, pattern, unusable)
    return by_id(((folder_name(file.parent), file.parent) for file in files), unusable)


def _is_visible(name):
    return not name.startswith(".") and name not in _FOREIGN_FOLDERS


def _unreadable(path, error):
    return UserError(f"{path}: cannot be read ({error.strerror}); allow it, or move it away")


def _require_utf8(path):
    """Refuse a path that SimpleITK cannot be told: it would end the process."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise UserError(f"{shown}: its path is not UTF-8; rename it") from error
