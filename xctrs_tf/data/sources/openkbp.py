"""OpenKBP: CTs as sparse tables; the user adds the labels."""

import numpy as np

from xctrs_tf.data.input_folders import existing, existing_folder, folders_with
from xctrs_tf.data.sources.dicom_studies import label_file
from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.grid import check_voxel_mm
from xctrs_tf.data.volumes.intensity import AIR_HU, check_hu, padding_to_air
from xctrs_tf.data.volumes.volume import Volume, read_labels
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

_CT, _SPACING = "ct.csv", "voxel_dimensions.csv"
_SIDE = 128
# Three times the size of a table of every voxel.
_MAX_TABLE_BYTES = 2**28
# A stored number is HU + 1000; voxels that are not listed are outside the body.
_OFFSET_HU = 1000.0


class OpenKbpSource(PatientSource):
    """Folders ``pt_<n>`` of ``ct.csv`` and ``voxel_dimensions.csv``; labels elsewhere.

    OpenKBP has no labels of vertebrae and publishes no positions in space. Label files
    are placed on a CT by positions whose origin is the centre of the voxel at the
    patient's right, front and lower end.

    Args:
        folder: a folder that holds the patients' folders, at any depth.
        labels: folder of ``pt_<n>.nii.gz`` or ``pt_<n>_seg.nii.gz``; None reads the CTs alone.
        label_map: dict from number in the file to 1..7.

    Attributes:
        ids: ``pt_<n>``, sorted.

    Raises:
        UserError: no such folder, or no patient in it.
    """

    def __init__(self, folder, labels, label_map=CERVICAL):
        self.folder = existing_folder(folder)
        self.labels = None if labels is None else existing_folder(labels)
        self.label_map = label_map
        self.unusable = {}
        self._folders = folders_with(self.folder, _CT, self.unusable)
        self.ids = list(self._folders)
        if not self.ids and not self.unusable:
            raise UserError(f"{self.folder}: no patients; OpenKBP has pt_<n>/{_CT}")

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        files = existing(*self._files(scan))
        return {
            "source": "openkbp",
            "source_file": files[0].relative_to(self.folder).as_posix(),
            "source_sha256": sha256_of(*files),
            "licence": "MIT",
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`, with the labels on their own grid."""
        ct_file, spacing_file, *labels_files = self._files(scan)
        rows, columns, slices = _read_spacing(spacing_file)
        ct = Volume(read_sparse_ct(ct_file), (columns, rows, slices), (0.0, 0.0, 0.0))
        if not labels_files:
            return RawPatient(scan, ct, None)
        (labels_file,) = labels_files
        labels = read_labels(labels_file)
        return RawPatient(scan, ct, apply_label_map(labels, self.label_map, labels_file))

    def _files(self, scan):
        folder = self._folders[scan]
        labels = [] if self.labels is None else [label_file(self.labels, scan)]
        return [folder / _CT, folder / _SPACING, *labels]


def read_sparse_ct(file):
    """Read ``ct.csv``: lines of a voxel's place in the grid and its value.

    The place counts through ``[row, column, slice]`` with the slice fastest:
    rows run to the back, columns to the left, slices downwards.

    Args:
        file: the table, with a header line.

    Returns:
        float32 CT numbers ``[x, y, z]`` in HU, -1000 outside the body.

    Raises:
        UserError: damaged, or voxels outside the grid.
    """
    table = _read_numbers(file, columns=2, skip=1)
    places = table[:, 0].astype(np.int64)
    if places.size == 0 or places.min() < 0 or places.max() >= _SIDE**3:
        raise UserError(f"{file}: voxels outside the grid of {_SIDE}^3; fetch the file again")
    grid = np.full(_SIDE**3, AIR_HU, np.float32)
    grid[places] = table[:, 1] - _OFFSET_HU
    check_hu(file, grid)
    grid = padding_to_air(grid)
    return np.ascontiguousarray(grid.reshape((_SIDE,) * 3).transpose(1, 0, 2)[:, :, ::-1])


def _read_spacing(file):
    edges = _read_numbers(file, columns=1, skip=0).ravel().tolist()
    if len(edges) != 3:
        raise UserError(f"{file}: damaged; fetch the file again")
    if min(edges) <= 0:
        raise UserError(f"{file}: a voxel size of zero; fetch the file again")
    check_voxel_mm(file, edges)
    return edges


def _read_numbers(file, columns, skip):
    if file.stat().st_size > _MAX_TABLE_BYTES:
        raise UserError(f"{file}: over {_MAX_TABLE_BYTES / 1e6:.0f} MB; fetch the file again")
    try:
        table = np.loadtxt(file, delimiter=",", skiprows=skip, ndmin=2)
        if table.shape[1] != columns or not np.isfinite(table).all():
            raise ValueError(f"{table.shape[1]} columns")
    except ValueError as error:
        raise UserError(f"{file}: damaged; fetch the file again") from error
    return table
