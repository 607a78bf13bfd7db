"""Folders of `<id>_ct.nii.gz` and `<id>_seg.nii.gz`, with an optional table of patients."""

import csv
import gzip
import io
import re
import zlib

from xctrs_tf.data.input_folders import (
    by_id,
    existing,
    existing_folder,
    file_named,
    visible_entries,
)
from xctrs_tf.data.patient_ids import check_id, id_key, normalise_id
from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import read_ct
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

_CT, _LABELS = "_ct", "_seg"
_SUFFIXES = (".nii.gz", ".nii")
_CT_FILE, _LABEL_FILE = (
    re.compile(rf"(.+){kind}\.nii(\.gz)?", re.IGNORECASE | re.DOTALL) for kind in (_CT, _LABELS)
)
_PATIENT_TABLE = "manifest.csv"
# Its column that names the patient of each scan.
_PATIENT = "patient"
# Ten times the size of a table of 100,000 patients.
_MAX_TABLE_BYTES = 2**26
_CHUNK_BYTES = 2**20


class NiftiSource(PatientSource):
    """CTs in HU and their labels in pairs of NIfTI files (gzip or not) on one grid.

    A file may be there with and without gzip if both have the same content.

    An optional ``manifest.csv`` with a column ``id`` names the scans, and its columns
    ``source`` and ``licence`` the collections that they come from and their licences. Scans of
    one ``patient`` are those of one id, in the order of the table; without this column each
    scan is a patient.

    Args:
        folder: the folder of the files.
        select: ``(column, value)``: take only the rows of manifest.csv with this value.
        label_map: dict from number in the file to 1..7.
        labelled: False reads the CTs alone.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: no such folder, no patients in it, two columns ``patient``, or no row selected.
    """

    def __init__(self, folder, select=None, label_map=CERVICAL, labelled=True):
        self.folder = existing_folder(folder)
        self._kinds = (_CT, _LABELS) if labelled else (_CT,)
        self.label_map = label_map
        self.unusable = {}
        table = self.folder / _PATIENT_TABLE
        self._rows = {}
        if table.exists():
            rows = read_patient_table(table, select, self.unusable)
            places = [(row["id"], f"{table}: {where}") for where, row in rows]
            self._rows = {normalise_id(row["id"]): row for _, row in rows}
        elif select:
            raise UserError(f"{table}: no such file; a selection needs it")
        else:
            places = _ct_files(self.folder)
            if labelled and places:
                self.unusable.update(_labels_alone(self.folder, places))
        self._scans = self._by_patient(by_id(places, self.unusable))
        self.ids = sorted(self._scans)
        if not self.ids and not self.unusable:
            raise UserError(f"{self.folder}: no patients; name the files <id>{_CT}.nii.gz")

    def scans(self, patient):
        """Return the keys of a patient's scans, in the order of the table."""
        return self._scans[patient]

    def record(self, scan):
        """Return the origin of a scan for the manifest of the data folder."""
        files, row = self._files(scan), self._rows.get(scan, {})
        return {
            "source": row.get("source") or "nifti",
            "source_file": files[0].name,
            "source_sha256": sha256_of(*files),
            "licence": row.get("licence") or "not stated",
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        files = self._files(scan)
        if len(files) == 1:
            return RawPatient(scan, read_ct(files[0])[0], None)
        return RawPatient(scan, *read_ct_and_labels(*files, self.label_map))

    def _by_patient(self, scans):
        """Return the scans of each patient, of a dict from scan to its file or row."""
        spellings, found = {}, {}
        # The rows of a table have an order, files have none.
        for scan in [scan for scan in self._rows if scan in scans] or scans:
            patient = normalise_id(self._rows.get(scan, {}).get(_PATIENT) or scan)
            try:
                check_id(patient)
            except UserError as error:
                self.unusable[scan] = f"{scans[scan]}: {error}"
                continue
            # As everywhere, upper and lower case are the same.
            patient = spellings.setdefault(id_key(patient), patient)
            found.setdefault(patient, []).append(scan)
        # A patient may have the name of a row that is left out.
        self.unusable = {
            f"row {name}" if name in found else name: why for name, why in self.unusable.items()
        }
        return found

    def _files(self, scan):
        return existing(*(self._file(scan + kind) for kind in self._kinds))

    def _file(self, stem):
        files = [file_named(self.folder, stem + suffix) for suffix in _SUFFIXES]
        found = [file for file in files if file.is_file()]
        if len(found) > 1 and not _is_unpacked(*found):
            raise UserError(f"{found[0]}: {found[1].name} has other content; remove one of them")
        return (found or files)[0]


def _ct_files(folder):
    """Return ids and paths of the CTs; of one that is there with and without gzip, the first."""
    files = [
        (match, entry)
        for entry in visible_entries(folder)
        if (match := _CT_FILE.fullmatch(entry.name))
    ]
    packed = {id_key(match[1]) for match, _ in files if match[2]}
    return [(match[1], file) for match, file in files if match[2] or id_key(match[1]) not in packed]


def _labels_alone(folder, places):
    """Return the ids of label files without a CT, and the reason why they are left out."""
    known = {id_key(patient) for patient, _ in places}
    return {
        match[1]: f"{entry}: no CT beside it; add {match[1]}{_CT}.nii.gz, or remove the labels"
        for entry in visible_entries(folder)
        if (match := _LABEL_FILE.fullmatch(entry.name)) and id_key(match[1]) not in known
    }


def _is_unpacked(packed, plain):
    """Return whether a file has the content of a gzip file."""
    try:
        with gzip.open(packed) as left, plain.open("rb") as right:
            while (chunk := left.read(_CHUNK_BYTES)) == right.read(_CHUNK_BYTES):
                if not chunk:
                    return True
    except (OSError, EOFError, zlib.error):
        return False
    return False


def read_patient_table(table, select, unusable):
    """Read the rows of a manifest.csv, as spreadsheets write it.

    A byte order mark, semicolons or tabs between the columns, spaces around the fields and
    empty rows are accepted.

    Args:
        table: path of the file.
        select: ``(column, value)``: return only the rows with this value; None for all.
        unusable: dict that gets the ids of rows with more or fewer fields than there are
            columns, and the reason.

    Returns:
        List of the number of the line and a dict from column to text, for each row.

    Raises:
        UserError: unreadable, a column is missing, or no row is selected.
    """
    needed = ["id", select[0]] if select else ["id"]
    rows = []
    text = _table_text(table)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [field.strip() for field in next(reader, [])]
        for column in needed:
            if columns.count(column) != 1:
                problem = "two columns" if column in columns else "no column"
                raise UserError(f"{table}: {problem} {column!r}")
        if columns.count(_PATIENT) > 1:
            raise UserError(f"{table}: two columns {_PATIENT!r}")
        for fields in reader:
            row = dict(zip(columns, map(str.strip, fields), strict=False))
            where = f"line {reader.line_num}"
            if not any(fields):
                continue
            if len(fields) < len(columns) or any(fields[len(columns) :]) or not row["id"]:
                problem = f"{len(fields)} fields for {len(columns)} columns, or no id"
                unusable[row.get("id") or where] = f"{table}: {where}: {problem}"
            elif not select or row[select[0]] == select[1]:
                rows.append((where, row))
    except csv.Error as error:
        raise UserError(f"{table}: line {reader.line_num}: {error}") from error
    if select and not rows:
        raise UserError(f"{table}: no row with {select[0]}={select[1]}")
    return rows


def _table_text(table):
    if not table.is_file():
        raise UserError(f"{table}: no file; save it as CSV in UTF-8")
    try:
        if table.stat().st_size > _MAX_TABLE_BYTES:
            raise UserError(f"{table}: over {_MAX_TABLE_BYTES / 1e6:.0f} MB; split it")
        # Spreadsheets begin the file with a byte order mark.
        return table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{table}: not UTF-8 text; save it as CSV in UTF-8") from error
