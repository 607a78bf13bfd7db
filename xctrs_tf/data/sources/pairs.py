"""Pairs of NIfTI files, a CT and its labels on one grid, and a source of such pairs."""

import dataclasses
import pathlib

import numpy as np

from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import read_ct, read_labels
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

# Two headers of one grid may differ by rounding.
SAME_GRID_MM = 0.01


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

    Attributes:
        ids: names of the patients, sorted.
    """

    def __init__(self, folder, pairs, name, licence, label_map=CERVICAL):
        self.folder = folder
        self.name = name
        self.licence = licence
        self.label_map = label_map
        self.ids = sorted(pairs)
        self._scans = {
            patient: sorted(pair.ct.relative_to(folder).as_posix() for pair in pairs[patient])
            for patient in self.ids
        }
        self._pairs = {
            pair.ct.relative_to(folder).as_posix(): pair
            for scans in pairs.values()
            for pair in scans
        }

    def scans(self, patient):
        """Return the names of a patient's CT files, relative to the folder, sorted."""
        return self._scans[patient]

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        pair = self._pairs[scan]
        return {
            "source": self.name,
            "source_file": scan,
            "source_sha256": sha256_of(*existing(pair.ct, pair.labels)),
            "licence": self.licence,
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        pair = self._pairs[scan]
        return RawPatient(scan, *read_pair(pair.ct, pair.labels, self.label_map))


def existing(*files):
    """Return the files; refuse the first that is missing.

    Raises:
        UserError: a file is missing.
    """
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file")
    return files


def read_pair(ct_file, labels_file, label_map=CERVICAL):
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
    labels = read_labels(labels_file, grid)
    require_same_shape(ct, labels, labels_file)
    if not on_one_grid(ct, labels):
        raise UserError(f"{labels_file}: not on the grid of its CT; resample it first")
    return ct, apply_label_map(labels, label_map, labels_file)


def require_same_shape(ct, labels, labels_file):
    """Refuse labels whose shape is not that of their CT."""
    if ct.array.shape != labels.array.shape:
        shapes = [" x ".join(map(str, volume.array.shape)) for volume in (labels, ct)]
        raise UserError(f"{labels_file}: {shapes[0]} voxels, its CT {shapes[1]}")


def on_one_grid(first, second):
    """Return whether the voxels of two volumes of one shape lie on each other."""
    return np.allclose(
        [first.spacing_mm, first.origin_mm],
        [second.spacing_mm, second.origin_mm],
        rtol=0.0,
        atol=SAME_GRID_MM,
    )


def existing_folder(folder):
    """Return a folder as a path; refuse it if it is missing.

    Raises:
        UserError: the folder is missing.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return folder


def visible_files(folder, pattern):
    """List the files of a name at any depth of a folder, sorted, without hidden files.

    Archives packed on a Mac carry a ``._name`` beside each ``name``.
    """
    return sorted(file for file in folder.rglob(pattern) if not file.name.startswith("."))
