"""Preparation of patients: choose a scan, check and crop it, project it, write it."""

import dataclasses
import errno
import functools
import hashlib
import shlex

import numpy as np

from xctrs_tf.data.dataset import Case, sanity
from xctrs_tf.data.dataset.dataset_writer import rejections
from xctrs_tf.data.dataset.header_correction import HEADER
from xctrs_tf.data.dataset.manifest import EARLIER
from xctrs_tf.data.dataset.patient_file import SCAN
from xctrs_tf.data.patient_ids import check_id
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import VolumeFrame
from xctrs_tf.data.volumes.cervical_crop import (
    check_labels,
    check_place,
    crop_to_frame,
    scan_around,
)
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

PARALLEL = FilmSimulation()
# Faults of the machine, which the next patient would meet as well.
_MACHINE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Files that were removed from the source.
_GONE = (errno.ENOENT, errno.ENOTDIR)
_LONGEST_CAUSE = 300


@dataclasses.dataclass(frozen=True)
class CroppedPatient:
    """A patient's CT and labels in the networks' cube.

    Attributes:
        ct: `Volume`, int16 HU, of isotropic voxels.
        segmentation: `Volume` of labels on the same grid, uint8.
        record: dict for the manifest.
        films: dict of ``ap`` and ``la`` where they show more than the cube, or None.
        scan: array and first index of `cervical_crop.scan_around`, or None.
    """

    ct: Volume
    segmentation: Volume
    record: dict
    films: dict | None = None
    scan: tuple | None = None


def prepare_cohort(
    source,
    ids,
    writer,
    size,
    spacing_mm,
    simulation,
    mapper=map,
    progress=lambda patients, words=None: patients,
    keep_scan=False,
):
    """Prepare every patient that is not written yet; record and skip those that fail.

    The patients are written in the order of their ids, so that the same input
    gives the same folder with any number of processes.

    Args:
        source: an object of `xctrs_tf.data.sources`.
        ids: which of its patients, sorted.
        writer: a `DatasetWriter`.
        size: voxels a side.
        spacing_mm: wanted voxel size.
        simulation: `FilmSimulation`.
        mapper: a ``map`` that keeps the order, such as that of `parallel_map`.
        progress: progress bar: takes a list of patients, and words before the bar where they are
            not prepared, but compared with their source; it is iterated along with them.
        keep_scan: whether to write what films can show of the whole scan too.

    Returns:
        Sorted list of the ids that are in the folder now, and the list of dicts
        ``id``, ``reason`` of the scans that were rejected.

    Raises:
        UserError: the folder cannot be written, for example on a full disk.
    """
    # Hashing a collection takes as long as reading it: hash only what was written before.
    known = [patient for patient in ids if writer.knows(patient)]
    known = progress(known, "comparing with the source")
    done = {patient for patient in known if _is_done(source, patient, writer)}
    todo = [patient for patient in ids if patient not in done]
    rejected = {patient: writer.rejected_with(patient) for patient in done}
    images = {writer.image_of(patient): patient for patient in done}
    images.pop(None, None)
    crop = functools.partial(
        crop_patient,
        source,
        size=size,
        spacing_mm=spacing_mm,
        simulation=simulation,
        keep_scan=keep_scan,
    )
    for patient, (cropped, reasons) in zip(progress(todo), mapper(crop, todo), strict=True):
        rejected[patient] = list(reasons)
        if cropped is None:
            continue
        image = cropped.record["image_sha256"]
        if image in images:
            file = _files_of(cropped.record)
            rejected[patient].append(f"{file}: the same image as patient {images[image]}")
            continue
        try:
            case = _checked_case(patient, cropped, simulation)
        except Exception as error:
            _stop_at_machine_fault(patient, error)
            rejected[patient].append(_in_words(patient, error))
            continue
        writer.add(case, cropped.record, reasons)
        images[image] = patient
        done.add(patient)
    for name, reason in source.unusable.items():
        rejected[name] = [reason, *rejected.get(name, [])]
    return sorted(done), rejections(rejected)


def crop_patient(source, patient, size, spacing_mm, simulation=PARALLEL, keep_scan=False):
    """Crop the first usable scan of a patient to C1..C7.

    Args:
        source: an object of `xctrs_tf.data.sources`.
        patient: one of its ids.
        size: voxels a side.
        spacing_mm: wanted voxel size; it grows where C1..C7 do not fit.
        simulation: `FilmSimulation`.
        keep_scan: whether the result has the ``scan`` too.

    Returns:
        `CroppedPatient`, or None where no scan is usable; and for each scan
        before it the reason why it is not.

    Raises:
        UserError: the machine cannot go on, since its disk or its memory is full.
        ImportError: a package that reads the scan is not installed.
    """
    reasons = []
    try:
        check_id(patient)
        scans = source.scans(patient)
    except ImportError:
        raise
    except Exception as error:
        _stop_at_machine_fault(patient, error)
        return None, [_in_words(patient, error)]
    for number, scan in enumerate(scans):
        try:
            cropped = _crop_scan(source, patient, scan, size, spacing_mm, simulation, keep_scan)
            if number:
                cropped.record[EARLIER] = [_hash_of(source, each) for each in scans[:number]]
            return cropped, reasons
        except ImportError:
            # A missing package is no fault of the scan.
            raise
        except Exception as error:
            # Whatever is wrong with a file rejects one scan, not the cohort.
            _stop_at_machine_fault(patient, error)
            reasons.append(_in_words(patient, error))
    return None, reasons


def make_case(patient, cropped, simulation=PARALLEL):
    """Return a cropped patient with both films, projected unless it has them already.

    Args:
        patient: id of the patient.
        cropped: `CroppedPatient`.
        simulation: `FilmSimulation`.

    Returns:
        `Case`.
    """
    films = cropped.films or simulation.films(patient, cropped.ct, _frame(cropped.ct))
    kept = {} if cropped.scan is None else dict(zip(SCAN, cropped.scan, strict=True))
    return Case(
        id=patient,
        ct=cropped.ct.array,
        segmentation=cropped.segmentation.array,
        **films,
        spacing_mm=cropped.ct.spacing_mm[0],
        origin_mm=cropped.ct.origin_mm,
        **kept,
    )


def image_hash(ct):
    """Return the sha256 of a scan's voxels, ordered along LPS, equal for copies in other files.

    Args:
        ct: `Volume` as a source loads it.

    Returns:
        Hex digits: the ``image_sha256`` of its record.
    """
    digest = hashlib.sha256(f"{ct.array.shape} {np.round(ct.spacing_mm, 3).tolist()}".encode())
    limits = np.iinfo(np.int16)
    for plane in ct.array:
        digest.update(np.clip(np.rint(plane), limits.min, limits.max).astype("<i2").tobytes())
    return digest.hexdigest()


def _checked_case(patient, cropped, simulation):
    """Return `make_case`; refuse films that show nothing."""
    case = make_case(patient, cropped, simulation)
    if reason := sanity.check_films({"ap": case.ap, "la": case.la}):
        raise UserError(f"{_files_of(cropped.record)}: {reason}")
    return case


def _files_of(record):
    """Return the name of a scan's file, of a scan in parts those of all."""
    return " + ".join(record.get("source_files", [record["source_file"]]))


def _stop_at_machine_fault(patient, error):
    """Raise a UserError where it was the machine that failed, not the scan."""
    # Readers turn what goes wrong into words for the user.
    for cause in (error, error.__cause__):
        number = getattr(cause, "errno", None)
        if isinstance(cause, MemoryError) or number == errno.ENOMEM:
            raise UserError(
                f"{patient}: not enough memory; end other programs, take fewer --workers, or leave "
                "this patient out"
            ) from error
        if isinstance(cause, OSError) and number in _MACHINE_FAULTS:
            raise UserError(f"{patient}: {cause}; run the same command again") from error


def _in_words(patient, error):
    """Return a line on what is wrong with a patient."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: cannot be read ({error.strerror})"
    cause = " ".join(str(error).split())[:_LONGEST_CAUSE] or type(error).__name__
    return f"{patient}: cannot be read ({cause})"


def _is_done(source, patient, writer):
    """Return whether a scan of a patient is written, and it and those before it are unchanged.

    If so, the writer's record of it gets what the source says of it now. A UserError is raised
    where a file that could be read before cannot be read for now.
    """
    earlier, failed = [], None
    try:
        scans = source.scans(patient)
    except Exception as error:
        scans, failed = [], error
    for scan in scans:
        try:
            record = source.record(scan)
            if writer.has(patient, record["source_sha256"], record.get(HEADER), earlier):
                writer.restate(patient, record)
                return True
            earlier.append(record["source_sha256"])
        except Exception as error:
            earlier.append(None)
            failed = failed or error
    # A patient who is rejected for a fault of the network would be removed, and the folds dealt
    # anew. Whatever else is wrong is told when the patient is prepared again.
    for cause in (failed, getattr(failed, "__cause__", None)):
        if isinstance(cause, OSError) and cause.errno not in _GONE:
            raise UserError(
                f"{patient}: cannot be read now, though it is in the folder ({cause}); run the "
                "same command again, or remove the file"
            ) from failed
    return False


def _hash_of(source, scan):
    """Return the hash of a scan's files, or None where they cannot be read."""
    try:
        return source.record(scan)["source_sha256"]
    except Exception:
        return None


def _crop_scan(source, patient, scan, size, spacing_mm, simulation, keep_scan):
    # The readers bound what they read: a file that passed them can be hashed in bounded time.
    raw = source.load(scan)
    record = source.record(scan)
    reason = (
        check_labels(raw.labels)
        or _check_direction(raw.labels, patient, record)
        or sanity.check_levels(raw.labels)
        or sanity.check_scan(raw.ct.array)
        or sanity.check_size(raw.labels)
        or check_place(raw.ct, raw.labels)
    )
    if reason:
        raise UserError(f"{_files_of(record)}: {reason}")
    ct, labels, spacing_mm, origin_mm = crop_to_frame(raw.ct, raw.labels, size, spacing_mm)
    grid = ((spacing_mm,) * 3, origin_mm)
    ct, labels = Volume(ct, *grid), Volume(labels, *grid)
    if reason := sanity.check_crop(ct, labels):
        raise UserError(f"{_files_of(record)}: {reason}")
    low = np.array(origin_mm) - spacing_mm / 2
    record |= {
        "image_sha256": image_hash(raw.ct),
        "scan_size": list(raw.ct.array.shape),
        "scan_spacing_mm": [float(edge) for edge in raw.ct.spacing_mm],
        "crop_box_mm": [low.tolist(), (low + size * spacing_mm).tolist()],
        **raw.notes,
    }
    if simulation.has_poses:
        record["projection"] = simulation.geometry_of(patient).to_json()
    kept = None
    if keep_scan:
        kept = scan_around(raw.ct, ct)
        record["kept_scan_size"] = list(kept[0].shape)
    if simulation.geometry.field_of_view == "crop":
        return CroppedPatient(ct, labels, record, scan=kept)
    # Projected here: the whole scan is too large to send from one process to another.
    films = simulation.films(patient, raw.ct, _frame(ct))
    return CroppedPatient(ct, labels, record, films, kept)


def _check_direction(labels, patient, record):
    """Return how a scan contradicts the directions in its header, and the flag that corrects it."""
    fault = sanity.check_direction(labels)
    if fault is None:
        return None
    words, correction = fault
    if HEADER in record:
        turned = f"although --header corrected it as {record[HEADER]}"
        return f"{words}, {turned}; change that, or leave it out"
    flag = f"--header={shlex.quote(f'{patient}:{correction}')}"
    return f"{words}, so its header contradicts the scan; look at it, and correct it with {flag}"


def _frame(ct):
    return VolumeFrame(ct.array.shape[0], ct.spacing_mm[0], ct.origin_mm)
