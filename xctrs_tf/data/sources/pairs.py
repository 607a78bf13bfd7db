"""Pairs of NIfTI files, a CT and its labels on one grid, and a source of such pairs."""

import dataclasses
import pathlib

import numpy as np

from xctrs_tf.data.input_folders import by_id, existing, file_named
from xctrs_tf.data.label_placing import read_labels_of, require_same_shape
from xctrs_tf.data.patient_ids import normalise_id
from xctrs_tf.data.scan_parts import join_arrays, join_labels, joint_of
from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.grid import make_grid, to_lps
from xctrs_tf.data.volumes.intensity import check_hu, padding_to_air
from xctrs_tf.data.volumes.nifti_file import read_nifti_affine
from xctrs_tf.data.volumes.stored_image import check_bytes
from xctrs_tf.data.volumes.volume import Volume, place_volume, read_ct, read_on_grid
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of


@dataclasses.dataclass(frozen=True)
class Pair:
    """Paths of a scan and its labels; the label file need not exist."""

    ct: pathlib.Path
    labels: pathlib.Path


class PairSource(PatientSource):
    """A source of NIfTI pairs, which a collection's subclass finds and names.

    Args:
        folder: the folder of the files; names in the manifest are relative to it.
        pairs: dict from patient to the list of their `Pair`.
        name: name of the collection, for the manifest.
        licence: licence of the collection.
        label_map: dict from number in the file to 1..7.
        unusable: dict from a name that is no patient to the reason; None for none.
        parts: dict from patient to lists of `Pair` that may be parts of one scan; None for none.
            Where their headers say so, the parts are one scan, which is preferred.

    Attributes:
        ids: names of the patients, sorted.
    """

    def __init__(self, folder, pairs, name, licence, label_map=CERVICAL, unusable=None, parts=None):
        self.folder = folder
        self.name = name
        self.licence = licence
        self.label_map = label_map
        self.unusable = {} if unusable is None else unusable
        first = ((patient, scans[0].ct) for patient, scans in pairs.items())
        self.ids = list(by_id(first, self.unusable))
        of_id = {normalise_id(patient): scans for patient, scans in pairs.items()}
        self._scans = {
            patient: sorted(self._name(pair) for pair in of_id[patient]) for patient in self.ids
        }
        self._pairs = {self._name(pair): pair for scans in pairs.values() for pair in scans}
        # Of each patient the names of parts; whether they fit is asked when it matters.
        self._parts = {
            normalise_id(patient): sorted(
                tuple(sorted(self._name(pair) for pair in group)) for group in groups
            )
            for patient, groups in (parts or {}).items()
        }
        self._fitting = {}

    def scans(self, patient):
        """Return the keys of a patient's scans, each the name of a CT file, sorted.

        Scans in parts come first; their keys are tuples of the names of the parts.
        """
        if patient not in self._fitting:
            groups = self._parts.get(patient, [])
            self._fitting[patient] = [group for group in groups if self._do_fit(group)]
        return [*self._fitting[patient], *self._scans[patient]]

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        names = scan if isinstance(scan, tuple) else (scan,)
        files = [file for name in names for file in self._files(name)]
        return {
            "source": self.name,
            "source_file": names[0],
            **({"source_files": list(names)} if len(names) > 1 else {}),
            "source_sha256": sha256_of(*files),
            "licence": self.licence,
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        if isinstance(scan, tuple):
            pairs = [self._files(name) for name in scan]
            return RawPatient(" + ".join(scan), *read_parts(pairs, self.label_map))
        return RawPatient(scan, *read_ct_and_labels(*self._files(scan), self.label_map))

    def _name(self, pair):
        return pair.ct.relative_to(self.folder).as_posix()

    def _files(self, scan):
        pair = self._pairs[scan]
        return existing(pair.ct, file_named(pair.labels.parent, pair.labels.name))

    def _do_fit(self, names):
        """Return whether the headers of CTs say that they are parts of one scan."""
        try:
            joint_of([(name, _grid_of_header(self._pairs[name].ct)) for name in names])
        # One of them cannot be read, or they are scans of their own: each is tried alone.
        except UserError:
            return False
        return True


def read_ct_and_labels(ct_file, labels_file, label_map=CERVICAL):
    """Read a CT and its labels from two files on one grid.

    Args:
        ct_file: CT numbers in HU.
        labels_file: whole numbers.
        label_map: dict from number in the file to 1..7.

    Returns:
        `Volume` of the CT, `Volume` of the labels.

    Raises:
        UserError: a file is unreadable, or the two are on different grids.
    """
    ct, grid = read_ct(ct_file)
    labels = read_labels_of(ct, grid, labels_file)
    return ct, apply_label_map(labels, label_map, labels_file)


def read_parts(pairs, label_map=CERVICAL):
    """Read the parts of one CT and their labels, and join both.

    Args:
        pairs: list of ``(ct_file, labels_file)``, the parts in any order.
        label_map: dict from number in the label files to 1..7.

    Returns:
        `Volume` of the whole CT, `Volume` of its labels on the same grid.

    Raises:
        UserError: a file is unreadable, a label file is not on the grid of its CT, or the parts
            do not fit together.
    """
    cts, labels = [], []
    for ct_file, labels_file in pairs:
        array, grid = _read_part(ct_file)
        numbers, labels_grid = to_lps(*read_on_grid(labels_file))
        require_same_shape(_on(grid, array), _on(labels_grid, numbers), labels_file)
        if not grid.is_at(labels_grid):
            raise UserError(f"{labels_file}: not on the grid of its CT; resample it first")
        numbers = apply_label_map(_on(grid, numbers), label_map, labels_file).array
        cts.append((ct_file, array, grid))
        labels.append((labels_file, numbers))
    ct, joint = _join_cts(cts)
    whole = join_labels(joint, labels)
    return ct, place_volume(whole, joint.grid)


def read_ct_parts(files):
    """Read the parts of one CT, and join them as `read_parts` does.

    Args:
        files: list of paths; a single one is a whole CT.

    Returns:
        `Volume` in HU.

    Raises:
        UserError: a file is unreadable, or the parts do not fit together.
    """
    if len(files) == 1:
        return read_ct(files[0])[0]
    return _join_cts([(file, *_read_part(file)) for file in files])[0]


def _read_part(file):
    """Return the CT numbers of a part, its padding as air, and its `Grid`."""
    array, grid = to_lps(*read_on_grid(file))
    check_hu(file, array)
    return padding_to_air(array), grid


def _join_cts(parts):
    """Join ``(file, array, Grid)`` of each part; return the `Volume` and the `Joint`."""
    joint = joint_of([(file, grid) for file, _, grid in parts])
    whole = join_arrays(joint, [(file, array) for file, array, _ in parts])
    return place_volume(whole, joint.grid), joint


def _on(grid, array):
    return Volume(array, tuple(grid.spacing_mm), tuple(grid.origin_mm))


def _grid_of_header(file):
    """Return the `Grid` of a NIfTI file, its axes as near to LPS as possible, by its header."""
    shape, affine = read_nifti_affine(file)
    if affine is None or len(shape) != 3:
        raise UserError(f"{file}: no volume of three axes with an orientation")
    # `to_lps` exchanges and flips indices; a view of one number has as many as are needed.
    number = np.uint8(0)
    check_bytes(file, shape, number.dtype)
    return to_lps(np.broadcast_to(number, shape), make_grid(file, shape, affine))[1]
