"""Film pairs of a batch: read from a table, or found in a folder by their names."""

import collections
import csv
import dataclasses
import pathlib
import re

from xctrs_tf.data.patient_ids import check_id, id_key
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import require_plain_file
from xctrs_tf.geometry import VIEWS

SUMMARY = "summary.csv"
COLUMNS, SPACING = ("id", *VIEWS), "spacing_mm"
# Ten times the size of a table of 100,000 pairs.
MAX_TABLE_BYTES = 2**26

_FLAT = re.compile(r"(.+)_(ap|la)(\..*)?", re.IGNORECASE | re.DOTALL)
_NESTED = re.compile(r"(ap|la)(\..*)?", re.IGNORECASE | re.DOTALL)


# macOS writes such a file beside each one on disks of other systems.
_SIDECAR = "._"


@dataclasses.dataclass(frozen=True)
class FilmFiles:
    """Films of one patient of a batch.

    Attributes:
        id: name of the patient's output folder.
        paths: dict of ``ap`` and ``la``.
        spacing_mm: edge of a voxel, or None.
        problem: reason why the pair cannot be read, or None.
    """

    id: str
    paths: dict
    spacing_mm: float | None = None
    problem: str | None = None


def read_table(path):
    """Read a CSV with the columns id, ap, la and, optionally, spacing_mm, and no others.

    A byte order mark and spaces around the names of the columns are accepted, and separators
    at the ends of the lines.

    Args:
        path: the file; paths of films are relative to its folder.

    Returns:
        List of `FilmFiles`.

    Raises:
        UserError: unreadable, or a line is wrong; the message has its number.
    """
    path = pathlib.Path(path)
    try:
        require_plain_file(path)
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise UserError(f"{path}: over {MAX_TABLE_BYTES / 1e6:.0f} MB; split the table")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            pairs = _table_pairs(path, csv.DictReader(stream, strict=True))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason})") from error
    if not pairs:
        raise UserError(f"{path}: no pairs; write a line for each below {','.join(COLUMNS)}")
    return pairs


def find_pairs(folder):
    """Find pairs by their names: ``<id>_ap.*`` and ``<id>_la.*``, or ``<id>/ap.*`` and so on.

    Args:
        folder: the folder.

    Returns:
        List of `FilmFiles` in the order of their ids. A pair that lacks a film, has two
        of one view, or whose id cannot name a folder, has a ``problem``; so has a
        folder that cannot be read.

    Raises:
        UserError: not a folder, or no pairs in it.
    """
    folder = pathlib.Path(folder)
    found = collections.defaultdict(lambda: {view: [] for view in VIEWS})
    unreadable = {}
    try:
        for entry in folder.iterdir():
            if entry.name.startswith(_SIDECAR):
                continue
            try:
                films = _films_within(entry)
            except OSError as error:
                unreadable[entry.name] = f"{entry}: cannot be read ({error.strerror})"
                continue
            if films:
                for view, film in films:
                    found[entry.name][view].append(film)
            elif match := _FLAT.fullmatch(entry.name):
                found[match[1]][match[2].lower()].append(entry)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    if not found and not unreadable:
        raise UserError(
            f"{folder}: no pairs; name the films ID_ap.* and ID_la.*, or ap.* and la.* in a "
            "folder ID"
        )
    seen = set()
    pairs = [_found_pair(folder, name, found[name], seen) for name in sorted(found)]
    return pairs + [FilmFiles(name, {}, problem=text) for name, text in sorted(unreadable.items())]


def _table_pairs(path, reader):
    pairs, seen = [], set()
    try:
        reader.fieldnames = _column_names(reader.fieldnames or ())
        for row in reader:
            pairs.append(_table_pair(path.parent, row, seen))
    except (UserError, csv.Error) as error:
        # The inner reader also counts a line that ends too early.
        line = max(1, reader.reader.line_num)
        raise UserError(f"{path}: line {line}: {error}") from error
    return pairs


def _column_names(fields):
    names = [field.strip() for field in fields]
    while names and not names[-1]:
        names.pop()
    missing = set(COLUMNS) - set(names)
    if missing:
        raise UserError(
            f"no column {', '.join(sorted(missing))} in {one_line(','.join(names), 80)!r}; write "
            f"{','.join(COLUMNS)} in small letters, with commas"
        )
    known = (*COLUMNS, SPACING)
    for name in names:
        if name not in known:
            raise UserError(f"unknown column {name!r}; the columns are {', '.join(known)}")
        if names.count(name) > 1:
            raise UserError(f"two columns {name!r}")
    return names


def _table_pair(folder, row, seen):
    if any(row.get(None, ())):
        raise UserError("more fields than columns")
    for name in COLUMNS:
        if not row[name]:
            raise UserError(f"no {name}")
    _check_id(row["id"], seen)
    paths = {view: folder / row[view] for view in VIEWS}
    return FilmFiles(row["id"], paths, _spacing_mm(row.get(SPACING)))


def _spacing_mm(text):
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is None or not 0 < value < float("inf"):
        raise UserError(f"{SPACING} {text!r}: must be a number above 0")
    return value


def _check_id(name, seen):
    """Refuse an id that is not a plain folder name or that was used before."""
    key = id_key(check_id(name))
    if key == SUMMARY:
        raise UserError(f"id {name!r}: is the batch's own file; choose another")
    if key in seen:
        raise UserError(f"id {name!r}: was there before; give every pair its own")
    seen.add(key)


def _films_within(entry):
    """Return the views and paths of the films in a sub-folder; none if it is a file."""
    if not entry.is_dir():
        return []
    matches = [(_NESTED.fullmatch(film.name), film) for film in entry.iterdir()]
    return [(match[1].lower(), film) for match, film in matches if match]


def _found_pair(folder, name, films, seen):
    try:
        _check_id(name, seen)
        for view, paths in films.items():
            if not paths:
                raise UserError(f"no {view.upper()} film; both views are needed")
            if len(paths) > 1:
                names = ", ".join(sorted(path.name for path in paths))
                raise UserError(f"several {view.upper()} films ({names}); keep one")
    except UserError as error:
        return FilmFiles(name, {}, problem=f"{folder / name}: {error}")
    return FilmFiles(name, {view: paths[0] for view, paths in films.items()})
