"""From a raw patient to a `Case`: choose a scan, check and crop it, then project."""

import dataclasses
import hashlib

import numpy as np

from xctrs_tf.data.dataset import Case
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import Frame
from xctrs_tf.data.volumes.cervical_crop import check_labels, check_place, crop_to_frame
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

PARALLEL = FilmSimulation()


@dataclasses.dataclass(frozen=True)
class CroppedPatient:
    """A patient in the frame.

    Attributes:
        ct: `Volume`, int16 HU, of isotropic voxels.
        segmentation: `Volume` of labels on the same grid, uint8.
        record: dict for the manifest.
        films: dict of ``ap`` and ``la`` where they show more than the frame, or None.
    """

    ct: Volume
    segmentation: Volume
    record: dict
    films: dict | None = None


def crop_patient(source, patient, size, spacing_mm, simulation=PARALLEL):
    """Read a patient's scans until one can be used, and bring it into the frame.

    Args:
        source: an object of `xctrs_tf.data.sources`.
        patient: one of its ids.
        size: voxels a side.
        spacing_mm: wanted voxel size; it grows where C1..C7 do not fit.
        simulation: `FilmSimulation`.

    Returns:
        `CroppedPatient` of the first usable scan, or None; and for each scan
        before it the reason why it cannot be used.
    """
    reasons = []
    for scan in source.scans(patient):
        try:
            return _crop_scan(source, patient, scan, size, spacing_mm, simulation), reasons
        except UserError as error:
            reasons.append(str(error))
        except (OSError, MemoryError, RuntimeError) as error:
            # A file that the checks of the readers did not foresee costs its own
            # patient, not the cohort.
            what = " ".join(str(error).split()) or type(error).__name__
            reasons.append(f"{patient}: cannot be read ({what})")
    return None, reasons


def make_case(patient, cropped, simulation=PARALLEL):
    """Project a cropped patient, unless he has his films.

    Args:
        patient: his id.
        cropped: `CroppedPatient`.
        simulation: `FilmSimulation`.

    Returns:
        `Case`.
    """
    films = cropped.films or simulation.films(patient, cropped.ct, _frame(cropped.ct))
    return Case(
        id=patient,
        ct=cropped.ct.array,
        segmentation=cropped.segmentation.array,
        **films,
        spacing_mm=cropped.ct.spacing_mm[0],
        origin_mm=cropped.ct.origin_mm,
    )


def _crop_scan(source, patient, scan, size, spacing_mm, simulation):
    record = source.record(scan)
    raw = source.load(scan)
    reason = check_labels(raw.labels) or check_place(raw.ct, raw.labels)
    if reason:
        raise UserError(f"{record['source_file']}: {reason}")
    ct, labels, spacing_mm, origin_mm = crop_to_frame(raw.ct, raw.labels, size, spacing_mm)
    grid = ((spacing_mm,) * 3, origin_mm)
    ct, labels = Volume(ct, *grid), Volume(labels, *grid)
    low = np.array(origin_mm) - spacing_mm / 2
    record |= {
        "image_sha256": _image_hash(raw.ct),
        "scan_size": list(raw.ct.array.shape),
        "scan_spacing_mm": [float(edge) for edge in raw.ct.spacing_mm],
        "crop_box_mm": [low.tolist(), (low + size * spacing_mm).tolist()],
        **raw.notes,
    }
    if simulation.has_poses:
        record["projection"] = simulation.geometry_of(patient).to_json()
    if simulation.geometry.field_of_view == "crop":
        return CroppedPatient(ct, labels, record)
    # The whole scan is too much to send from one process to another.
    films = simulation.films(patient, raw.ct, _frame(ct))
    return CroppedPatient(ct, labels, record, films)


def _frame(ct):
    return Frame(ct.array.shape[0], ct.spacing_mm[0], ct.origin_mm)


def _image_hash(ct):
    """sha256 of a scan's voxels along LPS: two files of one image have one."""
    digest = hashlib.sha256(f"{ct.array.shape} {np.round(ct.spacing_mm, 3).tolist()}".encode())
    limits = np.iinfo(np.int16)
    for plane in ct.array:
        digest.update(np.clip(np.rint(plane), limits.min, limits.max).astype("<i2").tobytes())
    return digest.hexdigest()
