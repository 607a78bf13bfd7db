"""Folders of `<id>_ct.nii.gz` and `<id>_seg.nii.gz`, with an optional table of patients."""

import csv

from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import existing, existing_folder, read_pair
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

_CT_SUFFIX = "_ct.nii.gz"
_LABELS_SUFFIX = "_seg.nii.gz"
_PATIENT_TABLE = "manifest.csv"


class NiftiSource(PatientSource):
    """CTs in HU and their labels in pairs of NIfTI files on one grid.

    An optional ``manifest.csv`` with a column ``id`` names the patients, and its
    column ``licence`` their licences.

    Args:
        folder: the folder of the files.
        select: ``(column, value)``: take only the rows of manifest.csv with this value.
        label_map: dict from number in the file to 1..7.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: no such folder, no patients in it, or no row selected.
    """

    def __init__(self, folder, select=None, label_map=CERVICAL):
        self.folder = existing_folder(folder)
        self.label_map = label_map
        rows = self._table_rows(select)
        self._licences = {row["id"]: row.get("licence") or "not stated" for row in rows}
        self.ids = sorted(self._licences)
        if not self.ids:
            raise UserError(f"{self.folder}: no patients; name the files <id>{_CT_SUFFIX}")

    def record(self, patient):
        """Return the origin of a patient for the manifest of the data folder."""
        files = self._files(patient)
        return {
            "source": "nifti",
            "source_file": files[0].name,
            "source_sha256": sha256_of(*files),
            "licence": self._licences[patient],
        }

    def load(self, patient):
        """Read one patient as a `RawPatient`."""
        return RawPatient(patient, *read_pair(*self._files(patient), self.label_map))

    def _files(self, patient):
        return existing(
            *(self.folder / f"{patient}{suffix}" for suffix in (_CT_SUFFIX, _LABELS_SUFFIX))
        )

    def _table_rows(self, select):
        """Return the selected rows of manifest.csv, or without it one row for each CT."""
        table = self.folder / _PATIENT_TABLE
        if not table.exists():
            if select:
                raise UserError(f"{table}: no such file; a selection needs it")
            files = self.folder.glob(f"*{_CT_SUFFIX}")
            return [{"id": file.name.removesuffix(_CT_SUFFIX)} for file in files]
        try:
            with table.open(newline="", encoding="utf-8") as stream:
                reader = csv.DictReader(stream)
                columns, rows = reader.fieldnames or [], list(reader)
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{table}: unreadable; save it as CSV in UTF-8") from error
        needed = ["id", select[0]] if select else ["id"]
        for column in needed:
            if column not in columns:
                raise UserError(f"{table}: no column {column!r}")
        if select:
            column, value = select
            rows = [row for row in rows if row[column] == value]
            if not rows:
                raise UserError(f"{table}: no row with {column}={value}")
        return rows
