"""Correction of headers that have the directions of the axes wrong: ``--header`` of prepare."""

import numpy as np

from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

# Which of the axes x, y and z are reversed, by the name of the correction.
CORRECTIONS = {
    "rotate180x": (1, 2),
    "rotate180y": (0, 2),
    "rotate180z": (0, 1),
    "mirror_x": (0,),
    "mirror_y": (1,),
    "mirror_z": (2,),
}
# Leaves a patient out of a correction of all.
_NONE = "none"
# Field of a patient's record that names the correction.
HEADER = "header"


def parse_corrections(texts, ids):
    """Read the values of ``--header``.

    Args:
        texts: list of ``CORRECTION``, for all patients, and ``ID:CORRECTION``, which has priority.
        ids: the patients that there are.

    Returns:
        Dict from patient to a name of `CORRECTIONS`, of those patients that are corrected.

    Raises:
        UserError: no such correction or patient, or two corrections for one.
    """
    found = {}
    for text in texts:
        patient, separator, correction = text.rpartition(":")
        if correction not in (*CORRECTIONS, _NONE):
            raise UserError(
                f"--header={text}: must be one of {', '.join(CORRECTIONS)}, {_NONE}, or ID: and one"
            )
        key = patient if separator else None
        if separator and patient not in ids:
            raise UserError(f"--header={text}: no patient {patient!r} in --input")
        if key in found:
            raise UserError(f"--header={text}: the second one of {'it' if separator else 'all'}")
        found[key] = correction
    corrections = {patient: found.get(patient, found.get(None, _NONE)) for patient in ids}
    return {patient: name for patient, name in corrections.items() if name != _NONE}


def centre_of(ct):
    """Return the LPS position of the centre of a `Volume`, about which a scan is corrected."""
    grid = ct.grid
    return grid.origin_mm + grid.direction @ ((np.array(grid.shape) - 1) * grid.spacing_mm / 2)


def correct_header(volume, correction, centre_mm):
    """Rotate or mirror a volume about a point.

    Args:
        volume: `Volume`.
        correction: name of `CORRECTIONS`.
        centre_mm: LPS position of the point.

    Returns:
        `Volume`, the same voxels at other positions.
    """
    axes, grid = list(CORRECTIONS[correction]), volume.grid
    edges_mm = np.zeros(3)
    edges_mm[axes] = ((np.array(grid.shape) - 1) * grid.spacing_mm)[axes]
    # The voxel that will be the first one of the flipped array.
    origin_mm = grid.origin_mm + grid.direction @ edges_mm
    origin_mm[axes] = 2 * np.array(centre_mm)[axes] - origin_mm[axes]
    array = np.ascontiguousarray(np.flip(volume.array, axes))
    direction = volume.direction
    if direction is not None:
        signs = np.where(np.isin(range(3), axes), -1, 1)
        direction = signs[:, np.newaxis] * direction * signs
    return Volume(array, volume.spacing_mm, tuple(origin_mm.tolist()), direction)


class CorrectedSource(PatientSource):
    """Source whose scans are corrected; the records say so.

    Args:
        source: the `PatientSource`.
        corrections: dict of `parse_corrections`.

    Attributes:
        ids: names of the patients, sorted.
        unusable: as of the source.
    """

    def __init__(self, source, corrections):
        self._source, self._corrections = source, corrections
        self.ids, self.unusable = source.ids, source.unusable

    def scans(self, patient):
        """Return the keys of a patient's scans, the preferred one first."""
        return [(patient, scan) for scan in self._source.scans(patient)]

    def record(self, scan):
        """Return the origin of a scan, with the correction where there is one."""
        patient, key = scan
        correction = {HEADER: self._corrections[patient]} if patient in self._corrections else {}
        return {**self._source.record(key), **correction}

    def load(self, scan):
        """Read one scan as a `RawPatient`, the CT and the labels turned about the CT's centre."""
        patient, key = scan
        raw = self._source.load(key)
        if patient not in self._corrections:
            return raw
        centre_mm = centre_of(raw.ct)
        turned = (
            volume and correct_header(volume, self._corrections[patient], centre_mm)
            for volume in (raw.ct, raw.labels)
        )
        return RawPatient(raw.id, *turned, raw.notes)
