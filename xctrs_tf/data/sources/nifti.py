"""A folder of `<id>_ct.nii.gz` and `<id>_seg.nii.gz` as a source of patients."""

import csv

from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import existing, existing_folder, read_pair
from xctrs_tf.data.sources.raw_patient import RawPatient
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

CT_SUFFIX = "_ct.nii.gz"
LABELS_SUFFIX = "_seg.nii.gz"
MANIFEST = "manifest.csv"


class NiftiSource:
    """CTs in HU and their labels in pairs of NIfTI files on one grid.

    An optional ``manifest.csv`` with a column ``id`` names the patients, and its
    column ``licence`` their licences.

    Args:
        folder: where the files are.
        select: ``(column, value)``: only the manifest's rows of this value.
        label_map: dict from number in the file to 1..7.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: no such folder, no patients in it, or nothing selected.
    """

    def __init__(self, folder, select=None, label_map=CERVICAL):
        self.folder = existing_folder(folder)
        self.label_map = label_map
        rows = self._manifest_rows(select)
        self._licences = {row["id"]: row.get("licence") or "not stated" for row in rows}
        self.ids = sorted(self._licences)
        if not self.ids:
            raise UserError(f"{self.folder}: no patients; name the files <id>{CT_SUFFIX}")

    def scans(self, patient):
        """A patient has one scan, of his name."""
        return [patient]

    def record(self, patient):
        """What the manifest says of a patient's source."""
        files = self._files(patient)
        return {
            "source": "nifti",
            "source_file": files[0].name,
            "source_sha256": sha256_of(*files),
            "licence": self._licences[patient],
        }

    def load(self, patient):
        """Read one patient.

        Args:
            patient: an id.

        Returns:
            `RawPatient`.

        Raises:
            UserError: a file is missing, unreadable, or on another grid.
        """
        return RawPatient(patient, *read_pair(*self._files(patient), self.label_map))

    def _files(self, patient):
        return existing(
            *(self.folder / f"{patient}{suffix}" for suffix in (CT_SUFFIX, LABELS_SUFFIX))
        )

    def _manifest_rows(self, select):
        """The selected rows of manifest.csv, or one row a CT where there is none."""
        manifest = self.folder / MANIFEST
        if not manifest.exists():
            if select:
                raise UserError(f"{manifest}: no such file; a selection needs it")
            files = self.folder.glob(f"*{CT_SUFFIX}")
            return [{"id": file.name.removesuffix(CT_SUFFIX)} for file in files]
        try:
            with manifest.open(newline="", encoding="utf-8") as stream:
                reader = csv.DictReader(stream)
                columns, rows = reader.fieldnames or [], list(reader)
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{manifest}: unreadable; save it as CSV in UTF-8") from error
        needed = ["id", select[0]] if select else ["id"]
        for column in needed:
            if column not in columns:
                raise UserError(f"{manifest}: no column {column!r}")
        if select:
            column, value = select
            rows = [row for row in rows if row[column] == value]
            if not rows:
                raise UserError(f"{manifest}: no row with {column}={value}")
        return rows
