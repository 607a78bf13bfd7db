"""Pairs of NIfTI files, a CT and its labels on one grid, and a source of such pairs."""

import dataclasses
import pathlib

from xctrs_tf.data.input_folders import by_id, existing, file_named
from xctrs_tf.data.label_placing import on_one_grid, require_same_shape
from xctrs_tf.data.patient_ids import normalise_id
from xctrs_tf.data.sources.label_maps import CERVICAL, apply_label_map
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import read_ct, read_labels
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

    Attributes:
        ids: names of the patients, sorted.
    """

    def __init__(self, folder, pairs, name, licence, label_map=CERVICAL, unusable=None):
        self.folder = folder
        self.name = name
        self.licence = licence
        self.label_map = label_map
        self.unusable = {} if unusable is None else unusable
        first = ((patient, scans[0].ct) for patient, scans in pairs.items())
        self.ids = list(by_id(first, self.unusable))
        of_id = {normalise_id(patient): scans for patient, scans in pairs.items()}
        self._scans = {
            patient: sorted(pair.ct.relative_to(folder).as_posix() for pair in of_id[patient])
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
        return {
            "source": self.name,
            "source_file": scan,
            "source_sha256": sha256_of(*self._files(scan)),
            "licence": self.licence,
        }

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        return RawPatient(scan, *read_pair(*self._files(scan), self.label_map))

    def _files(self, scan):
        pair = self._pairs[scan]
        return existing(pair.ct, file_named(pair.labels.parent, pair.labels.name))


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
