"""Whole scans of the patients of a prepared data folder."""

import dataclasses
import pathlib

import numpy as np

from xctrs_tf.data.dataset.header_correction import HEADER, centre_of, correct_header
from xctrs_tf.data.volumes.cervical_crop import cervical_box_mm, check_labels, check_place
from xctrs_tf.data.volumes.intensity import AIR_HU
from xctrs_tf.data.volumes.volume import Volume, read_ct, read_labels, resample
from xctrs_tf.errors import UserError

# Soft tissue to bone, where necks differ.
_WINDOW_HU = (-200, 1000)
# Least correlation of a scan with the crop made of it, at the crop's voxels.
_LEAST_CORRELATION = 0.9
# Voxels of the crop by which its resampling may move an edge of the box of C1 to C7.
_MOST_VOXELS = 2


class PreparedScans:
    """Scans in a folder, of which the patients of a data folder, or their crops, were made.

    Args:
        folder: the folder, ``--scans``: ``<id>_ct.nii.gz`` in HU and ``<id>_seg.nii.gz``, 1..7 =
            C1..C7, which may be on a grid of its own.
        dataset: the `Dataset`.
    """

    def __init__(self, folder, dataset):
        self._folder, self._dataset = pathlib.Path(folder), dataset
        self._records = {record["id"]: record for record in dataset.manifest["patients"]}

    def load(self, patient):
        """Read the scan of a patient, its header corrected as that of the data was.

        Args:
            patient: an id of the data.

        Returns:
            `Volume` of the CT in HU, and `Volume` of the labels.

        Raises:
            UserError: a file is missing, the labels do not belong to the CT, or the data were
                made of another scan.
        """
        file = self._folder / f"{patient}_ct.nii.gz"
        labels_file = self._folder / f"{patient}_seg.nii.gz"
        ct, grid = read_ct(file)
        labels = read_labels(labels_file, grid)
        if correction := self._records[patient].get(HEADER):
            centre_mm = centre_of(ct)
            ct, labels = (correct_header(each, correction, centre_mm) for each in (ct, labels))
        case = self._dataset.load(patient)
        reason = check_labels(labels) or check_place(ct, labels)
        if reason is None and _correlation(ct, case) < _LEAST_CORRELATION:
            reason = "shows another neck, or in another place, than --data has of this patient"
        if reason:
            raise UserError(f"{file}: {reason}")
        if _distance_mm(labels, case) > _MOST_VOXELS * case.spacing_mm:
            raise UserError(
                f"{labels_file}: its C1 to C7 lie elsewhere than in --data; give the labels that "
                "the data were made of"
            )
        return ct, labels


def _distance_mm(labels, case):
    """Return the largest distance between the sides of the two boxes of C1 to C7."""
    prepared = Volume(case.segmentation, (case.spacing_mm,) * 3, case.origin_mm)
    return np.abs(np.subtract(cervical_box_mm(labels), cervical_box_mm(prepared))).max()


def _correlation(ct, case):
    """Compare a scan with the crop of its patient, at the crop's voxels."""
    ct = dataclasses.replace(ct, array=ct.array.astype(np.float32))
    found = resample(ct, len(case.ct), case.spacing_mm, case.origin_mm, fill=AIR_HU).array
    both = [np.clip(array, *_WINDOW_HU).ravel() for array in (found, case.ct)]
    # Nothing correlates with a scan that ends before the crop.
    return np.corrcoef(both)[0, 1] if np.ptp(both[0]) else 0.0
