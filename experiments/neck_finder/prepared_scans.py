"""Whole scans of the patients of a prepared data folder, read as experiments.prepare reads them."""

from xctrs_tf.data.dataset.header_correction import HEADER, CorrectedSource
from xctrs_tf.data.dataset.preparation import image_hash
from xctrs_tf.data.sources.label_maps import CERVICAL, parse_label_map
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.volumes.cervical_crop import check_labels, check_place
from xctrs_tf.errors import UserError


class PreparedScans:
    """Scans in a folder, with the corrections and the label map of the data made of them.

    Args:
        folder: the folder, ``--scans``: ``<id>_ct.nii.gz`` in HU and ``<id>_seg.nii.gz``.
        dataset: the `Dataset` that experiments.prepare made of them.

    Raises:
        UserError: no such folder, or no patients in it.
    """

    def __init__(self, folder, dataset):
        self._folder = folder
        self._records = {record["id"]: record for record in dataset.manifest["patients"]}
        label_map = dataset.manifest.get("label_map")
        source = NiftiSource(folder, None, parse_label_map(label_map) if label_map else CERVICAL)
        corrections = {
            patient: record[HEADER] for patient, record in self._records.items() if HEADER in record
        }
        self._source = CorrectedSource(source, corrections)

    def load(self, patient):
        """Read the scan of a patient as a `RawPatient`.

        Args:
            patient: an id of the data.

        Raises:
            UserError: the scan is missing, or another one, or its labels do not belong to it.
        """
        if patient not in self._source.ids:
            raise UserError(f"--scans={self._folder}: no scan of patient {patient} of --data")
        expected, reason = self._records[patient].get("image_sha256"), None
        for scan in self._source.scans(patient):
            raw = self._source.load(scan)
            # Folders of earlier versions have no hashes of the scans.
            if expected not in (None, image_hash(raw.ct)):
                reason = "not the scan that --data was prepared from"
                continue
            reason = check_labels(raw.labels) or check_place(raw.ct, raw.labels)
            if reason is None:
                return raw
        raise UserError(f"--scans={self._folder}: patient {patient}: {reason}")
