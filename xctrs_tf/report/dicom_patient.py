"""Patient and study of a DICOM film, to copy them to the reconstruction's DICOM files."""

import contextlib
import logging
import warnings

import pydicom
from pydicom import charset, config, valuerep

from xctrs_tf.data.checked_file import read_checked
from xctrs_tf.data.dicom.dicom_dataset import read_dataset
from xctrs_tf.data.films.formats.dicom_film import MAX_READS, is_dicom_film
from xctrs_tf.data.films.raw_film import MAX_FILE_BYTES
from xctrs_tf.errors import UserError, one_line

# Fields copied from a film, so that an archive files the series with it.
PATIENT_FIELDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# A series without these would be filed with nobody, or with another patient.
_IDENTITY = ("PatientName", "PatientID", "IssuerOfPatientID")
# By which two films are compared: by names where ids do not tell.
_IDS, _NAMES = ("PatientID",), ("PatientName", "PatientBirthDate")
# Bytes after which a name begins again in the first of several character sets: ^ and =.
_DELIMITERS = {0x5E, 0x3D}
_SEXES = ("M", "F", "O")
_REMEDY = "correct the film's header, or leave --copy_patient out"


def patient_fields(path):
    """Read the patient and the study of a DICOM film, to copy them.

    A date, a time or another field that is not as DICOM wants it is left out with a
    warning, since no archive would take it.

    Args:
        path: a film of the reconstruction.

    Returns:
        `pydicom.Dataset` of those of `PATIENT_FIELDS` that the film has.

    Raises:
        UserError: not a DICOM file, or a name or an id that cannot be read or copied, or
            neither is there.
    """
    fields, left_out = _read(path)
    if "PatientName" not in fields and "PatientID" not in fields:
        raise UserError(f"{path}: has neither PatientName nor PatientID to copy; {_REMEDY}")
    if left_out:
        logging.warning(
            "%s: not copied, since DICOM has no such values: %s", path, ", ".join(left_out)
        )
    return fields


def patient_of_pair(ap, la):
    """Read the patient and the study of the AP film; refuse an LA film of another patient.

    Args:
        ap: the AP film, DICOM.
        la: the LA film, of any file type.

    Returns:
        `pydicom.Dataset` of `patient_fields`.

    Raises:
        UserError: the AP film is not DICOM, or the films name two patients.
    """
    fields = patient_fields(ap)
    if not is_dicom_film(la):
        return fields
    other, _ = _read(la)
    # Devices spell names differently, so that they tell only where there is no id.
    has_id = "PatientID" in fields or "PatientID" in other
    for name in _IDS if has_id else _NAMES:
        if not _is_same(name, fields.get(name), other.get(name)):
            raise UserError(
                f"{la}: its {name} is not that of {ap}; take both films of one patient, or leave "
                "--copy_patient out"
            )
    return fields


def compare_patients(ap, la):
    """Compare the patients that the headers of two films name, and the days of the films.

    Args:
        ap: the AP film, of any file type.
        la: the LA film, of any file type.

    Returns:
        What is wrong and what corrects it, or None where both name one patient, or one film
        does not name them; and the list of lines on fields that could not be compared, and
        on films of two days.
    """
    if not (is_dicom_film(ap) and is_dicom_film(la)):
        return None, []
    headers = [(path, _header(path)) for path in (ap, la)]
    remarks = []
    for name in (*_IDS, *_NAMES):
        values = []
        for path, header in headers:
            try:
                values.append(_text(header, name))
            except ValueError as error:
                remarks.append(f"{path}: its {name} was not compared: {one_line(error, 200)}")
        if len(values) < 2 or not all(values):
            continue
        if not _is_same(name, *values):
            problem = (
                f"{la}: its {name} is not that of {ap}; take both films of one patient, or "
                "correct the header that is wrong (--nocheck_views takes these)"
            )
            return problem, remarks
        # Devices spell names differently, so that they do not count beside an id.
        if name in _IDS:
            break
    return None, remarks + _dates_remark(headers)


def _dates_remark(headers):
    """Return a line, in a list, where both films have a StudyDate and these differ."""
    dates = set()
    for _, header in headers:
        with contextlib.suppress(ValueError):
            date = _text(header, "StudyDate")
            if date:
                _require_valid("StudyDate", date)
                dates.add(date)
    if len(dates) < 2:
        return []
    # Without the dates: remarks are kept in files that name no patient.
    return [
        "films: their StudyDates differ; take both films of one visit, since the neck lies "
        "otherwise on another day"
    ]


def _is_same(name, first, second):
    """Return whether two values of a field mean the same."""
    return first == second or (name == "PatientName" and _plain_name(first) == _plain_name(second))


def _plain_name(value):
    """Return a name without what does not count in DICOM: case, spaces, and empty parts at ends."""
    spellings = str(value or "").casefold().split("=")
    names = ("^".join(map(str.strip, each.split("^"))).rstrip("^") for each in spellings)
    return "=".join(names).rstrip("=")


def _header(path):
    """Return the header of a DICOM film, as it was read for the film."""
    with _quiet_pydicom():
        return read_dataset(path, read_checked(path, MAX_FILE_BYTES), MAX_READS)


def _read(path):
    """Return the fields of a film, and the names of those whose values are not valid."""
    try:
        header = _header(path) if is_dicom_film(path) else None
    # A damaged header may raise anything.
    except Exception:
        header = None
    if header is None:
        raise UserError(f"{path}: no DICOM file to copy the patient from; leave --copy_patient out")
    fields, left_out = pydicom.Dataset(), []
    for name in PATIENT_FIELDS:
        try:
            # An empty StudyInstanceUID would be invalid; other empty fields are useless.
            if value := _text(header, name):
                _require_valid(name, value)
                setattr(fields, name, value)
        except ValueError as error:
            if name in _IDENTITY:
                raise UserError(f"{path}: {name}: {one_line(error, 200)}; {_REMEDY}") from error
            left_out.append(name)
    return fields, left_out


def _text(header, name):
    """Return a field as text, or None; ValueError if its bytes have no sure meaning."""
    if name not in header:
        return None
    raw = header.get_item(name).value
    if not isinstance(raw, bytes):
        return None if raw is None else str(raw).strip()
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii").strip(" \0")
    with _quiet_pydicom():
        sets = header.get("SpecificCharacterSet")
    if not sets:
        raise ValueError("letters other than ASCII, and no SpecificCharacterSet to read them by")
    with _quiet_pydicom():
        # Other warnings are about spelling that pydicom understands.
        warnings.filterwarnings("error", "Unknown encoding|Failed to decode")
        try:
            encodings = charset.convert_encodings(sets)
            return charset.decode_bytes(raw, encodings, _DELIMITERS).strip(" \0")
        except (Warning, LookupError, ValueError) as error:
            raise ValueError(
                f"cannot be read by its SpecificCharacterSet {one_line(sets, 60)}"
            ) from error


def _require_valid(name, value):
    """Raise ValueError for a value that DICOM does not allow."""
    vr = pydicom.datadict.dictionary_VR(name)
    if not value.isprintable() or "\\" in value:
        raise ValueError("holds control characters or several values")
    valuerep.validate_value(vr, value, config.RAISE)
    if vr == "DA":
        valuerep.DA(value)
    elif vr == "TM":
        valuerep.TM(value)
    elif name == "PatientSex" and value not in _SEXES:
        raise ValueError(f"none of {', '.join(_SEXES)}")


@contextlib.contextmanager
def _quiet_pydicom():
    """Drop warnings about values that are looked at here; pydicom also logs each one."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
