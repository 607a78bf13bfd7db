"""DICOM series with labels in NIfTI files, whose headers may contradict each other."""

import itertools

import numpy as np

from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.pairs import (
    existing,
    existing_folder,
    on_one_grid,
    require_same_shape,
)
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.dicom_series import read_series_and_grid, slice_files
from xctrs_tf.data.volumes.volume import Volume, read_labels
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

_LABEL_SUFFIXES = ("_seg.nii.gz", ".nii.gz", "_seg.nii", ".nii")
# Least CT number of bone; cartilage, contrast agent and noise are mostly below.
_BONE_HU = 200.0
# The header is followed unless another placing covers so much more bone (share of the
# labelled voxels).
_CLEARLY_MORE = 0.1


class DicomSource(PatientSource):
    """Folders ``<id>`` of one CT series each, and label files named by the same id.

    Args:
        images: the folder of the patients' folders, or the folder of a single patient.
        labels: the folder of the label files ``<id>.nii`` or ``<id>_seg.nii``
            (gzip or not), or for a single patient the file.
        name: name of the collection, for the manifest.
        licence: licence of the collection.
        label_map: dict from number in the file to 1..7.
        only_labelled: leave out series without a label file.

    Attributes:
        ids: names of the patients' folders, sorted.

    Raises:
        UserError: no such folder, or no series in it.
    """

    def __init__(
        self,
        images,
        labels,
        name="dicom",
        licence="not stated",
        label_map=CERVICAL,
        only_labelled=False,
    ):
        self.images = existing_folder(images)
        self.name = name
        self.licence = licence
        self.label_map = label_map
        folders = sorted(folder for folder in self.images.iterdir() if folder.is_dir())
        if labels.is_file() and not folders:
            self._scans = {self.images.name: (self.images, labels)}
        else:
            existing_folder(labels)
            self._scans = {
                folder.name: (folder, label_file(labels, folder.name)) for folder in folders
            }
        if only_labelled:
            self._scans = {id: scan for id, scan in self._scans.items() if scan[1].is_file()}
        self.ids = sorted(self._scans)
        if not self.ids:
            raise UserError(f"{self.images}: no DICOM series with labels in {labels}")

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        folder, labels = self._scans[scan]
        return {
            "source": self.name,
            "source_file": scan,
            "source_sha256": sha256_of(*slice_files(folder), *existing(labels)),
            "licence": self.licence,
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`, whose notes say how the labels were placed."""
        folder, labels_file = self._scans[scan]
        ct, grid = read_series_and_grid(folder)
        labels = read_labels(labels_file, grid)
        require_same_shape(ct, labels, labels_file)
        labels = apply_label_map(labels, self.label_map, labels_file)
        labels, placing = place_labels(ct, labels, labels_file)
        return RawPatient(scan, ct, labels, {"label_placing": placing})


class Rsna2022Source(DicomSource):
    """The RSNA 2022 cervical spine fracture data: its 87 studies with segmentations.

    Args:
        folder: the folder of ``train_images`` and ``segmentations``.
    """

    def __init__(self, folder):
        folder = existing_folder(folder)
        super().__init__(
            folder / "train_images",
            existing_folder(folder / "segmentations"),
            name="rsna2022",
            licence="RSNA terms of use, non-commercial",
            only_labelled=True,
        )


def place_labels(ct, labels, labels_file):
    """Place labels on the grid of their CT, by their header or against it.

    A header that mirrors an axis puts the labels beside the bones, or on the wrong
    bones. So the labels are tried as the header says and mirrored along each axis;
    the header is followed unless another placing covers clearly more bone.

    Args:
        ct: `Volume` in HU.
        labels: `Volume` of the same shape.
        labels_file: its name, for the error.

    Returns:
        `Volume` of the labels on the CT's grid, and a few words on how they were placed.

    Raises:
        UserError: the header's place is not that of the CT, and no placing is clearly right.
    """
    bone = ct.array > _BONE_HU
    shares = {}
    for mirrored in itertools.product((False, True), repeat=3):
        array = _mirror(labels.array, mirrored)
        shares[mirrored] = float(bone[array > 0].mean()) if array.any() else 0.0
    best = max(shares, key=shares.get)
    as_stored = (False, False, False)
    if on_one_grid(ct, labels) and shares[best] < shares[as_stored] + _CLEARLY_MORE:
        return labels, "physical space"
    # Necks are nearly symmetric: the better of left and right is taken even if the two
    # are close. Front and back, top and bottom must differ clearly.
    rival = max(share for mirrored, share in shares.items() if mirrored[1:] != best[1:])
    if shares[best] < rival + _CLEARLY_MORE:
        raise UserError(f"{labels_file}: not in the space of its CT, and no mirroring fits clearly")
    array = np.ascontiguousarray(_mirror(labels.array, best))
    axes = "".join(axis for axis, flag in zip("xyz", best, strict=True) if flag)
    how = f"mirrored along {axes}" if axes else "moved onto the CT"
    words = (
        f"{how} against the header: {shares[best]:.0%} on bone, as stored {shares[as_stored]:.0%}"
    )
    return Volume(array, ct.spacing_mm, ct.origin_mm), words


def _mirror(array, mirrored):
    return array[tuple(slice(None, None, -1 if flag else 1) for flag in mirrored)]


def label_file(folder, name):
    """Return a patient's label file, or if there is none, the expected path.

    Args:
        folder: the folder of the label files.
        name: name of the patient.

    Returns:
        Path of the first of ``<name>_seg.nii.gz``, ``<name>.nii.gz`` and the two
        without gzip that exists, else the first.
    """
    files = [folder / f"{name}{suffix}" for suffix in _LABEL_SUFFIXES]
    return next((file for file in files if file.is_file()), files[0])
