"""A reconstruction as a DICOM CT series.

Nothing in it is drawn by chance or read off a clock: the same reconstruction
gives the same UIDs, and another one others.
"""

import hashlib
import pathlib

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from xctrs_tf.data.films.dicom_film import is_dicom
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.style import LEVEL_HU, NOTICE, WIDTH_HU

# What may be copied from a film, so that an archive files the series beside it.
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
# Fields that must be there, and may be empty.
_EMPTY = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "KVP",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
)
ANONYMOUS_ID = "RECONSTRUCTION"
SERIES_NUMBER = 9001


def patient_fields(path):
    """The patient and the study of a DICOM film, to be copied.

    Args:
        path: the film that the reconstruction was made from.

    Returns:
        `pydicom.Dataset` of those of `PATIENT_FIELDS` that the film has.

    Raises:
        UserError: no DICOM file.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=PATIENT_FIELDS)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise UserError(
            f"{path}: no DICOM file to copy the patient from; leave the copying out"
        ) from error
    fields = pydicom.Dataset()
    for name in PATIENT_FIELDS:
        # An empty field says nothing; an empty StudyInstanceUID would be invalid.
        if header.get(name):
            setattr(fields, name, header.get(name))
    return fields


def patient_of_pair(ap, la):
    """The patient and the study of the AP film, if the LA film is not of another patient.

    Args:
        ap: the AP film, DICOM.
        la: the LA film, of any kind.

    Returns:
        `pydicom.Dataset`, as `patient_fields` gives it.

    Raises:
        UserError: AP is no DICOM file, or the films name two patients.
    """
    fields = patient_fields(ap)
    if is_dicom(la) and patient_fields(la).get("PatientID") != fields.get("PatientID"):
        raise UserError(
            f"{la}: its PatientID is not that of {ap}; take both films of one patient, or leave "
            "the copying out"
        )
    return fields


def ct_series(ct_hu, spacing_mm, origin_mm, patient=None):
    """The slices of a CT series, from the lowest upwards.

    Args:
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `patient_fields`; by default the series is anonymous.

    Returns:
        List of `pydicom.FileDataset`, one a slice.
    """
    source = hashlib.sha256(np.ascontiguousarray(ct_hu, "<i2").tobytes())
    source.update(repr((float(spacing_mm), *map(float, origin_mm), str(patient))).encode())
    digest = source.hexdigest()
    return [
        _slice(ct_hu[:, :, z], z, spacing_mm, origin_mm, digest, patient)
        for z in range(ct_hu.shape[2])
    ]


def write_ct_series(folder, ct_hu, spacing_mm, origin_mm, patient=None):
    """Write a CT series, one file a slice: ``slice-001.dcm`` and so on.

    Args:
        folder: made, or replaced if it is there.
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `patient_fields`; by default the series is anonymous.

    Returns:
        List of the slices written, for `dicom_segmentation.write_segmentation`.
    """
    slices = ct_series(ct_hu, spacing_mm, origin_mm, patient)
    with atomic_path(pathlib.Path(folder)) as temporary:
        temporary.mkdir()
        for number, image in enumerate(slices, start=1):
            image.save_as(temporary / f"slice-{number:03d}.dcm", enforce_file_format=True)
    return slices


def _slice(plane, z, spacing_mm, origin_mm, digest, patient):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = derived_uid(digest, f"slice {z}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 192"
    _describe_origin(image, digest, patient)
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.InstanceNumber = z + 1
    _describe_place(image, z, spacing_mm, origin_mm)
    _describe_pixels(image, plane)
    return image


def _describe_origin(image, digest, patient):
    """Patient, study and series, and what kind of a picture this is."""
    for name in _EMPTY:
        setattr(image, name, None)
    image.PatientID = ANONYMOUS_ID
    image.StudyInstanceUID = derived_uid(digest, "study")
    image.update(patient or {})
    image.Modality = "CT"
    image.SeriesInstanceUID = derived_uid(digest, "series")
    image.SeriesNumber = SERIES_NUMBER
    image.SeriesDescription = "Reconstructed from two X-ray films"
    image.FrameOfReferenceUID = derived_uid(digest, "frame of reference")
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    image.BodyPartExamined = "CSPINE"
    image.DerivationDescription = "Computed by a neural network from two X-ray films"
    image.ImageComments = NOTICE
    image.BurnedInAnnotation = "NO"


def _describe_place(image, z, spacing_mm, origin_mm):
    position = [*origin_mm[:2], origin_mm[2] + z * spacing_mm]
    # DICOM's decimal strings have sixteen characters.
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
    """A UID that follows from what a file holds and from its part in the study."""
    return generate_uid(entropy_srcs=[digest, role])


def _decimal(value):
    return pydicom.valuerep.DSfloat(float(value), auto_format=True)
