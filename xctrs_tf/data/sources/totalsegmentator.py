"""TotalSegmentator data set, version 2: one mask for each class."""

import dataclasses

import numpy as np

from xctrs_tf.data.input_folders import existing, existing_folder, folders_with
from xctrs_tf.data.label_placing import read_labels_of
from xctrs_tf.data.sources.label_maps import TOTALSEGMENTATOR, binary_mask
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import read_ct
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of
from xctrs_tf.geometry import VERTEBRAE

_CT = "ct.nii.gz"
_MASKS = [f"segmentations/vertebrae_{name}.nii.gz" for name in VERTEBRAE]
# The one file of all classes that the program TotalSegmentator writes.
_NUMBERED = "segmentations.nii.gz"


class TotalSegmentatorSource(PatientSource):
    """Folders ``<id>`` of ``ct.nii.gz`` and ``segmentations/vertebrae_C1.nii.gz`` to C7.

    A folder may hold one ``segmentations.nii.gz`` of all classes instead, in the
    numbers of version 2 (C1..C7 = 50..44).

    Args:
        folder: the folder of the patients' folders.

    Attributes:
        ids: names of the patients' folders, sorted.

    Raises:
        UserError: no such folder, or no patient in it.
    """

    def __init__(self, folder):
        self.folder = existing_folder(folder)
        self.unusable = {}
        self._folders = folders_with(self.folder, _CT, self.unusable)
        self.ids = list(self._folders)
        if not self.ids and not self.unusable:
            raise UserError(f"{self.folder}: no patients; TotalSegmentator has <id>/{_CT}")

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        ct = self._folders[scan] / _CT
        return {
            "source": "totalsegmentator",
            "source_file": ct.relative_to(self.folder).as_posix(),
            "source_sha256": sha256_of(*existing(ct, *self._label_files(scan))),
            "licence": "CC BY 4.0",
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        files = self._label_files(scan)
        ct_file = self._folders[scan] / _CT
        if len(files) == 1:
            return RawPatient(scan, *read_ct_and_labels(ct_file, files[0], TOTALSEGMENTATOR))
        ct, grid = read_ct(ct_file)
        array = np.zeros(ct.array.shape, np.uint8)
        for number, file in enumerate(files, start=1):
            array[binary_mask(read_labels_of(ct, grid, file), file)] = number
        return RawPatient(scan, ct, dataclasses.replace(ct, array=array))

    def _label_files(self, scan):
        numbered = self._folders[scan] / _NUMBERED
        masks = [self._folders[scan] / mask for mask in _MASKS]
        if not numbered.is_file():
            return masks
        if found := [mask for mask in masks if mask.is_file()]:
            raise UserError(f"{numbered}: the labels are also in {found[0]}; keep one")
        return [numbered]
