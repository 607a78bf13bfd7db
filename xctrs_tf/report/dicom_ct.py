"""DICOM CT series of a reconstruction.

The files depend on the reconstruction and on what made it, its date included, not on random
numbers: the same result has the same UIDs, however often it is written.
"""

import datetime
import hashlib
import pathlib

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from xctrs_tf import __version__
from xctrs_tf.errors import one_line
from xctrs_tf.files import atomic_path
from xctrs_tf.report.provenance_record import film_lines, model_sentences, overridden_checks
from xctrs_tf.style import LEVEL_HU, NOTICE, WIDTH_HU

# Fields that must be present, and may be empty.
_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "KVP",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
    "PatientPosition",
)
MANUFACTURER = "xctrs_tf"
SERIES_NUMBER = 9001


def ct_series(ct_hu, spacing_mm, origin_mm, patient=None, provenance=None):
    """Return the slices of a CT series, the lowest first.

    Args:
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `dicom_patient.patient_fields`; by default the series is anonymous.
        provenance: `provenance_record.provenance_record`, or None if nothing is known.

    Returns:
        List of `pydicom.FileDataset`, one per slice.
    """
    source = hashlib.sha256(np.ascontiguousarray(ct_hu, "<i2").tobytes())
    made = (float(spacing_mm), *map(float, origin_mm), str(patient), provenance)
    source.update(repr(made).encode())
    digest = source.hexdigest()
    return [
        _slice(ct_hu[:, :, z], z, spacing_mm, origin_mm, digest, patient, provenance)
        for z in range(ct_hu.shape[2])
    ]


def write_ct_series(folder, ct_hu, spacing_mm, origin_mm, patient=None, provenance=None):
    """Write a CT series, one file per slice: ``slice-001.dcm`` and so on.

    Args:
        folder: created, or replaced if it exists.
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `dicom_patient.patient_fields`; by default the series is anonymous.
        provenance: `provenance_record.provenance_record`, or None if nothing is known.

    Returns:
        List of the slices written, for `dicom_segmentation.write_segmentation`.
    """
    slices = ct_series(ct_hu, spacing_mm, origin_mm, patient, provenance)
    with atomic_path(pathlib.Path(folder)) as temporary:
        temporary.mkdir()
        for number, image in enumerate(slices, start=1):
            image.save_as(temporary / f"slice-{number:03d}.dcm", enforce_file_format=True)
    return slices


def _slice(plane, z, spacing_mm, origin_mm, digest, patient, provenance):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = derived_uid(digest, f"slice {z}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 192"
    _describe_study(image, digest, patient)
    _describe_provenance(image, provenance, with_files=patient is not None)
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.InstanceNumber = z + 1
    _describe_place(image, z, spacing_mm, origin_mm)
    _describe_pixels(image, plane)
    return image


def _describe_study(image, digest, patient):
    """Fill in patient, study, series and type of image."""
    for name in _EMPTY:
        setattr(image, name, None)
    image.StudyInstanceUID = derived_uid(digest, "study")
    if patient is None:
        # An archive would file all anonymous series under one id as those of one patient.
        image.PatientID = f"RECON-{digest[:16]}"
    else:
        image.update(patient)
    image.Modality = "CT"
    image.SeriesInstanceUID = derived_uid(digest, "series")
    image.SeriesNumber = SERIES_NUMBER
    image.FrameOfReferenceUID = derived_uid(digest, "frame of reference")
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    image.BodyPartExamined = "CSPINE"
    image.BurnedInAnnotation = "NO"


def _describe_provenance(image, provenance, with_files):
    """Fill in what made the image, and whether it failed the quality checks."""
    image.SeriesDescription = series_description("Reconstructed from two X-ray films", provenance)
    image.DerivationDescription = _derivation(provenance, with_files)
    image.ImageComments = NOTICE
    image.Manufacturer, image.SoftwareVersions = MANUFACTURER, __version__
    image.ManufacturerModelName = model_names(provenance)
    if provenance and provenance["date"]:
        # Local time: the times that are copied from the films name no time zone.
        made = datetime.datetime.fromisoformat(provenance["date"]).astimezone()
        image.InstanceCreationDate = made.strftime("%Y%m%d")
        image.InstanceCreationTime = made.strftime("%H%M%S")


def series_description(text, provenance):
    """Return the description of a series, which says first if the quality checks failed.

    Args:
        text: what the series is, at most 40 characters.
        provenance: `provenance_record.provenance_record`, or None.

    Returns:
        str of at most 64 characters, as DICOM wants it.
    """
    failed = provenance is not None and provenance["checks"]["quality"] == "fail"
    return f"QUALITY CHECKS FAILED: {text}" if failed else text


def model_names(provenance):
    """Return the names of the models for a DICOM field of 64 characters.

    Args:
        provenance: `provenance_record.provenance_record`, or None.
    """
    names = [model["name"] for model in provenance["models"]] if provenance else []
    return _plain(", ".join(names), 64) or MANUFACTURER


def _derivation(provenance, with_files):
    if provenance is None:
        return "Computed by a neural network from two X-ray films"
    # Without a patient the files are anonymous, and names of films may be those of patients.
    films = film_lines(provenance["films"], with_files)
    # What may be cut off stands last.
    sentences = [
        "Computed by a neural network from two X-ray films.",
        *(f"Not checked: {line}." for line in overridden_checks(provenance)),
        *(["Mean with the mirrored films."] if provenance["mirror"] else []),
        *(f"{view.upper()} film {line}." for view, line in films.items()),
        *(f"Model {model_sentences(model)}" for model in provenance["models"]),
    ]
    return _plain(" ".join(sentences), 1024)


def _plain(text, limit):
    # A backslash separates values in DICOM.
    line = one_line(text.replace("\\", "/"))
    return line if len(line) <= limit else f"{line[: limit - 4]} ..."


def _describe_place(image, z, spacing_mm, origin_mm):
    position = [*origin_mm[:2], origin_mm[2] + z * spacing_mm]
    # A decimal string of DICOM has at most 16 characters.
    image.ImagePositionPatient = [_decimal(value) for value in position]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [_decimal(spacing_mm)] * 2
    image.SliceThickness = _decimal(spacing_mm)
    image.SpacingBetweenSlices = _decimal(spacing_mm)
    image.SliceLocation = _decimal(position[2])


def _describe_pixels(image, plane):
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Columns, image.Rows = plane.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "HU"
    image.WindowCenter, image.WindowWidth = LEVEL_HU, WIDTH_HU
    image.PixelData = np.ascontiguousarray(plane.T, "<i2").tobytes()


def derived_uid(digest, role):
    """Derive a UID from contents.

    Args:
        digest: str that identifies a reconstruction.
        role: part of the reconstruction's study, such as ``"series"``.

    Returns:
        `pydicom.uid.UID`, the same for the same arguments.
    """
    return generate_uid(entropy_srcs=[digest, role])


def _decimal(value):
    return pydicom.valuerep.DSfloat(float(value), auto_format=True)
