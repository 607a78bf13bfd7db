"""DICOM series with labels in NIfTI files, whose headers may contradict each other."""

from xctrs_tf.data.input_folders import (
    by_id,
    existing,
    existing_folder,
    file_named,
    folder_name,
    visible_entries,
)
from xctrs_tf.data.label_placing import place_labels, require_same_shape
from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.dicom_series import (
    patient_id,
    read_series,
    read_series_and_grid,
    slice_files,
)
from xctrs_tf.data.volumes.volume import read_labels
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

_LABEL_SUFFIXES = ("_seg.nii.gz", ".nii.gz", "_seg.nii", ".nii")


class DicomSource(PatientSource):
    """Folders ``<id>`` of one CT series each, and label files named by the same id.

    Args:
        images: the folder of the patients' folders, or the folder of a single patient.
        labels: the folder of the label files ``<id>.nii`` or ``<id>_seg.nii``
            (gzip or not), or for a single patient the file; None reads the CTs alone.
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
        self.unusable = {}
        folders = [entry for entry in visible_entries(self.images) if entry.is_dir()]
        self.labels = labels
        if labels is None:
            # Without folders in it, it is that of a single patient.
            folders = folders or [self.images]
        elif labels.is_file() and not folders:
            folders = [self.images]
        else:
            if labels.is_file():
                raise UserError(
                    f"{labels}: a label file goes with the folder of one series, and {self.images} "
                    "holds folders; give the folder of its series, or a folder of label files"
                )
            existing_folder(labels)
            if only_labelled:
                folders = [folder for folder in folders if label_files(labels, folder.name)]
        named = ((folder_name(folder), folder) for folder in folders)
        self._folders = by_id(named, self.unusable)
        self.ids = list(self._folders)
        if not self.ids and not self.unusable:
            raise UserError(f"{self.images}: no DICOM series with labels in {labels}")

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        labels = [] if self.labels is None else [self._labels_file(scan)]
        files = existing(*slice_files(self._folders[scan]), *labels)
        return {
            "source": self.name,
            "source_file": scan,
            "source_sha256": sha256_of(*files),
            "licence": self.licence,
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`, whose notes say how the labels were placed."""
        if self.labels is None:
            return RawPatient(scan, read_series(self._folders[scan]), None)
        labels_file = self._labels_file(scan)
        ct, grid = read_series_and_grid(self._folders[scan])
        labels = read_labels(labels_file, grid)
        require_same_shape(ct, labels, labels_file)
        labels = apply_label_map(labels, self.label_map, labels_file)
        labels, placing = place_labels(ct, labels, labels_file)
        return RawPatient(scan, ct, labels, {"label_placing": placing})

    def header_patients(self):
        """Return the PatientID in the headers of each folder, of those that have one.

        Returns:
            Dict from the folder's path to a text.
        """
        found = {folder: patient_id(folder) for folder in self._folders.values()}
        return {folder: name for folder, name in found.items() if name}

    def _labels_file(self, scan):
        return self.labels if self.labels.is_file() else label_file(self.labels, scan)


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


def label_file(folder, name):
    """Return a patient's label file, or if there is none, the expected path.

    Args:
        folder: the folder of the label files.
        name: name of the patient.

    Returns:
        Path of the one of ``<name>_seg.nii.gz``, ``<name>.nii.gz`` and the two
        without gzip that exists, else the first.

    Raises:
        UserError: several of them exist.
    """
    files = label_files(folder, name)
    if len(files) > 1:
        raise UserError(f"{files[1]}: the labels are also in {files[0].name}; keep one")
    return files[0] if files else folder / f"{name}{_LABEL_SUFFIXES[0]}"


def label_files(folder, name):
    """List the label files of a patient that exist; see `label_file`."""
    files = [file_named(folder, f"{name}{suffix}") for suffix in _LABEL_SUFFIXES]
    return [file for file in files if file.is_file()]
