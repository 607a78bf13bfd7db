"""A folder of `<id>_ct.nii.gz` and `<id>_seg.nii.gz` as a source of patients."""

import csv
import pathlib

import numpy as np

from xctrs_tf.data.dataset_writer import sha256_of
from xctrs_tf.data.sources.patient import RawPatient
from xctrs_tf.data.volumes import AIR_HU, Volume, read_volume
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE

CT_SUFFIX = "_ct.nii.gz"
LABELS_SUFFIX = "_seg.nii.gz"
MANIFEST = "manifest.csv"
# Two headers of one grid differ by the rounding of whoever wrote them.
SAME_GRID_MM = 0.01


class NiftiSource:
    """CTs in HU and labels (1..7 = C1..C7) in pairs of NIfTI files on one grid.

    An optional ``manifest.csv`` with a column ``id`` names the patients, and its
    column ``licence`` their licences.

    Args:
        folder: where the files are.
        select: ``(column, value)``: only the manifest's rows of this value.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: no such folder, no patients in it, or nothing selected.
    """

    def __init__(self, folder, select=None):
        self.folder = pathlib.Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder")
        rows = self._manifest_rows(select)
        self._licences = {row["id"]: row.get("licence") or "not stated" for row in rows}
        self.ids = sorted(self._licences)
        if not self.ids:
            raise UserError(f"{self.folder}: no patients; name the files <id>{CT_SUFFIX}")

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
        ct_file, labels_file = self._files(patient)
        ct = read_volume(ct_file, fill=AIR_HU)
        labels = read_volume(labels_file, interpolation="nearest")
        if ct.array.shape != labels.array.shape:
            shapes = [" x ".join(map(str, volume.array.shape)) for volume in (labels, ct)]
            raise UserError(f"{labels_file}: {shapes[0]} voxels, its CT {shapes[1]}")
        for mine, other in ((labels.spacing_mm, ct.spacing_mm), (labels.origin_mm, ct.origin_mm)):
            if not np.allclose(mine, other, rtol=0.0, atol=SAME_GRID_MM):
                raise UserError(f"{labels_file}: not on the grid of its CT; resample it first")
        return RawPatient(patient, ct, _cervical_only(labels, labels_file))

    def _files(self, patient):
        files = [self.folder / f"{patient}{suffix}" for suffix in (CT_SUFFIX, LABELS_SUFFIX)]
        for file in files:
            if not file.is_file():
                raise UserError(f"{file}: no such file")
        return files

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


def _cervical_only(labels, file):
    if not np.array_equal(labels.array, np.rint(labels.array)):
        raise UserError(f"{file}: holds fractions; labels are whole numbers")
    cervical = (labels.array >= 1) & (labels.array <= len(VERTEBRAE))
    array = np.where(cervical, labels.array, 0).astype(np.uint8)
    return Volume(array, labels.spacing_mm, labels.origin_mm)
